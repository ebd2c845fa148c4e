#!/usr/bin/env bash
# Holds 10,000 Socket.IO clients from one agent against three real servers, over WebSocket only, for two minutes with
# heartbeats and an acknowledged emit each 5 s a client. Prints what swarm and the servers counted, and the agent's memory a
# client: its resident memory while all are held less what it was before the first, over the clients.
# Needs tests/setup. Must not: gate anything. benches/ten_thousand.sh [CLIENTS] [HOLD]
set -euo pipefail
cd "$(dirname "$0")/.."
clients="${1:-10000}" hold="${2:-2m}"
folder="$(mktemp -d)"
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
ulimit -n "$(ulimit -Hn)"

cargo build --release --quiet --no-default-features
for port in 18101 18102 18103; do
  NODE_PATH=tests/lab/servers/node_modules node benches/ten_thousand.js "$port" >"$folder/$port" &
  pids+=("$!")
done
for port in 18101 18102 18103; do
  until grep -q listens "$folder/$port"; do sleep 0.1; done
done

target/release/swarm attack ws://127.0.0.1:18101/ ws://127.0.0.1:18102/ ws://127.0.0.1:18103/ --socketio --local 1 \
  -c "$clients" --connect-rate 500 --hold "$hold" --emit 'ping me' --ack --every 5s --no-live -o "$folder/report.json" \
  >"$folder/said" &
swarm="$!"
pids+=("$swarm")
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status" 2>/dev/null || echo 0; }
agent='' first=0 most=0
while kill -0 "$swarm" 2>/dev/null; do
  if [ -z "$agent" ]; then
    # the agent is the one child of the controller
    agent="$(cat "/proc/$swarm/task/"*/children 2>/dev/null | awk '{ print $1; exit }')"
    [ -z "$agent" ] || { sleep 0.2; first="$(rss "$agent")"; }
  else
    now="$(rss "$agent")"
    [ "${now:-0}" -le "$most" ] || most="$now"
  fi
  sleep 0.5
done
status=0
wait "$swarm" || status=$?
cat "$folder/said"
for port in 18101 18102 18103; do
  echo "server $port counted $(node -e 'fetch(process.argv[1]).then((r) => r.text()).then(console.log)' "http://127.0.0.1:$port/counts")"
done
awk -v first="$first" -v most="$most" -v n="$clients" 'BEGIN {
  if (first == 0 || most == 0) { print "the agent was not seen"; exit 1 }
  printf "agent: %d KiB resident before, %d KiB at most: %.2f KiB a client (goal 16)\n", first, most, (most - first) / n }'
exit "$status"
