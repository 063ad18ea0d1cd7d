# Cleans up behind the tests, however they end: its standard input is a pipe
# whose other end only the tests hold, and which the kernel closes with them.
#
# $1: folder of everything temporary; $2: scripts/kafka
set -u
trap '' INT TERM HUP QUIT
root=$1 kafka=$2
declare -A pids=() clusters=()
while read -r what id; do
    case $what in
        +pid) pids[$id]=1 ;;
        -pid) unset "pids[$id]" ;;
        +cluster) clusters[$id]=1 ;;
        -cluster) unset "clusters[$id]" ;;
    esac
done
for pid in "${!pids[@]}"; do kill -KILL "$pid"; done
for dir in "${!clusters[@]}"; do "$kafka" down --dir "$dir" --kill; done
rm -rf -- "$root"
