# Trogdor's coordinator and two agents, a real broker, and tasks for them, in a network of their own: the agents listen on
# all addresses, and run whatever they are told to by anybody who reaches them.
#
# $1: scripts/kafka; $2: folder of Trogdor's jars; $3: the program; $4: a folder that is there
# Prints a line for each task that is over: its name, a blank, and what the coordinator says of it.
set -euo pipefail
kafka=$1 jars=$2 program=$3 work=$4
started=()
clean_up() {
    for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    "$kafka" down --kill --dir "$work/kafka" 2>/dev/null || true
}
trap clean_up EXIT
trap 'exit 143' INT TERM HUP

ip link set lo up
eval "$("$kafka" up --dir "$work/kafka")"

readonly COORDINATOR=http://127.0.0.1:8889/coordinator
cat >"$work/trogdor.conf" <<EOF_CONF
{
  "platform": "org.apache.kafka.trogdor.basic.BasicPlatform",
  "nodes": {
    "node0": {"hostname": "127.0.0.1", "trogdor.agent.port": 8888, "trogdor.coordinator.port": 8889},
    "node1": {"hostname": "127.0.0.1", "trogdor.agent.port": 8890}
  }
}
EOF_CONF
# daemon NODE CLASS: one of Trogdor's, in a folder of its own, where its tasks leave their ledgers.
daemon() {
    local folder=$work/$1-${2##*.}
    mkdir -p "$folder"
    (cd "$folder" && exec java -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$jars/*" \
        "org.apache.kafka.trogdor.$2" -c "$work/trogdor.conf" -n "$1" >"$folder/log" 2>&1) &
    started+=($!)
}
daemon node0 agent.Agent
daemon node1 agent.Agent
daemon node0 coordinator.Coordinator

# await WHAT COMMAND...: until it succeeds, for a minute.
await() {
    local what=$1 i
    shift
    for ((i = 0; i < 300; i++)); do
        ! "$@" || return 0
        sleep 0.2
    done
    echo "not within a minute: $what" >&2
    tail -n 50 "$work"/node*/log >&2
    exit 1
}
ask() { curl -sf --max-time 10 "$@"; }
for port in 8888/agent 8890/agent 8889/coordinator; do
    await "$port" ask -o "$work/answer" "http://127.0.0.1:$port/status"
done

# task NAME NODE FLAGS WORKLOAD: hands it to the coordinator.
task() {
    ask -o "$work/answer" -H 'Content-Type: application/json' "$COORDINATOR/task/create" -d @- <<EOF_TASK
{"id": "$1", "spec": {
  "class": "org.apache.kafka.trogdor.workload.ExternalCommandSpec",
  "startMs": 0, "durationMs": 120000, "commandNode": "$2",
  "command": ["$program", "verifier", "--trogdor", "--remote-port", "0"$3],
  "workload": {"bootstrapServers": "$BOOTSTRAP", $4}
}}
EOF_TASK
}
is_over() { ask "$COORDINATOR/tasks/$1" >"$work/$1.json" && grep -q '"state" *: *"DONE"' "$work/$1.json"; }
is_at_work() { ask "$COORDINATOR/tasks/$1" >"$work/$1.json" && grep -q '"totalSent" *: *[1-9]' "$work/$1.json"; }

task proven node0 ', "--seq_read"' '"maxMessages": 5000, "targetMessagesPerSec": 2000,
    "activeTopics": {"proven": {"numPartitions": 4, "replicationFactor": 1}}'
task unknown node1 '' '"maxMesages": 5000, "activeTopics": {"unknown": {}}'
task stopped node1 '' '"maxMessages": 10000000, "targetMessagesPerSec": 1000,
    "activeTopics": {"stopped": {}}, "valueGenerator": {"type": "uniformRandom", "size": 100}'
await 'a status of the task that is stopped' is_at_work stopped
ask -o "$work/answer" -X PUT -H 'Content-Type: application/json' "$COORDINATOR/task/stop" -d '{"id": "stopped"}'
for name in proven unknown stopped; do
    await "the end of the task $name" is_over "$name"
    printf '%s %s\n' "$name" "$(tr '\n' ' ' <"$work/$name.json")"
done
ask -o "$work/answer" -X PUT "$COORDINATOR/shutdown" || true
# What a task leaves where its agent runs.
ls "$work"/node1-Agent/valid_offsets_stopped.json >/dev/null
