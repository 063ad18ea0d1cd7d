#!/usr/bin/env bash
# A CI job: loads a cluster, reads everything back, and ends with 0 only when all that was acked is proven to be there.
# BROKERS and TOPIC name the cluster and a topic that nobody else writes to; DIR takes ledger and reports, keep it as the
# job's artefact. STEPS: `load` produces and reads back; `verify` reads again what a ledger in DIR lists.
set -euo pipefail
: "${BROKERS:=localhost:9092}" "${TOPIC:=ci}" "${DIR:=proofload-ci}" "${STEPS:=load verify}"
: "${RECORDS:=20000}" "${MAX_OUTAGE:=60s}" "${DEADLINE:=10m}"
mkdir -p "$DIR"

# Runs one step. The gate: all done, everything vouched for by the ledger in DIR, no broker away for long, an end in time.
step() {
    local name=$1 pid code=0
    shift
    # A step that writes none must not show that of another day.
    rm -f "$DIR/$name.json"
    proofload verifier --brokers "$BROKERS" --topic "$TOPIC" --ledger-dir "$DIR" --require-complete \
        --max-outage "$MAX_OUTAGE" --deadline "$DEADLINE" --report "$DIR/$name.json" "$@" &
    pid=$!
    # Whoever ends the job wants a report, too.
    trap 'kill -TERM $pid 2>/dev/null || true' TERM INT
    wait "$pid" || code=$?
    # A signal ends the waiting before the process.
    while kill -0 "$pid" 2>/dev/null; do wait "$pid" && code=0 || code=$?; done
    trap - TERM INT
    echo "$name: $(sed -n 's/^  "verdict": "\(.*\)",$/\1/p' "$DIR/$name.json" 2>/dev/null), exit code $code"
    ((code == 0)) || exit "$code"
}

for name in $STEPS; do
    case $name in
        load) step load --create-topic --produce_msgs "$RECORDS" --msg_size 1000 --seq_read ;;
        verify) step verify --seq_read --rand_read_msgs 100 ;;
        *) echo "no such step: $name" >&2; exit 2 ;;
    esac
done
