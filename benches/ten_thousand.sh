#!/usr/bin/env bash
# Holds 10,000 Socket.IO clients from one agent against three real servers, over WebSocket only, for two minutes with
# heartbeats and an acknowledged emit each 5 s a client. Prints what swarm and the servers counted, how many clients ended
# otherwise than by leaving, and the agent's memory a client: its resident memory at its most less what it was
# before the first, over the clients that the servers saw at once.
# Needs tests/setup. Must not: gate anything. benches/ten_thousand.sh [CLIENTS] [HOLD]; SWARM names the binary.
set -euo pipefail
cd "$(dirname "$0")/.."
clients="${1:-10000}" hold="${2:-2m}"
folder="$(mktemp -d)"
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
ulimit -n "$(ulimit -Hn)"

swarm="${SWARM:-}"
if [ -z "$swarm" ]; then
  cargo build --release --quiet --no-default-features
  swarm=target/release/swarm
fi
for port in 18101 18102 18103; do
  NODE_PATH=tests/lab/servers/node_modules node benches/ten_thousand.js "$port" >"$folder/$port" &
  pids+=("$!")
done
for port in 18101 18102 18103; do
  until grep -q listens "$folder/$port"; do sleep 0.1; done
done

"$swarm" attack ws://127.0.0.1:18101/ ws://127.0.0.1:18102/ ws://127.0.0.1:18103/ --socketio --local 1 \
  -c "$clients" --connect-rate 500 --hold "$hold" --emit 'ping me' --ack --every 5s --no-live -o "$folder/report.json" \
  >"$folder/said" &
controller="$!"
pids+=("$controller")
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status" 2>/dev/null || true; }
agent='' first=0 most=0
while kill -0 "$controller" 2>/dev/null; do
  if [ -z "$agent" ]; then
    # the agent is the one child of the controller; until it is another program it is the controller's own copy
    child="$(cat "/proc/$controller/task/"*/children 2>/dev/null | awk '{ print $1; exit }')" || true
    if [ -n "$child" ] && [ "$(readlink "/proc/$child/exe")" != "$(readlink "/proc/$controller/exe")" ]; then
      agent="$child"
      # it has said hello by then, and the load begins later
      sleep 0.2
      first="$(rss "$agent")"
    fi
  else
    now="$(rss "$agent")"
    [ "${now:-0}" -le "$most" ] || most="$now"
  fi
  sleep 0.1
done
status=0
wait "$controller" || status=$?
cat "$folder/said"
node -e '
const [file, clients, first, most, ...ports] = process.argv.slice(1);
(async () => {
  const { connections, messages, heartbeats } = JSON.parse(require("fs").readFileSync(file)).totals;
  console.log(`swarm:   ${JSON.stringify({ connections, messages, heartbeats })}`);
  let [connected, peak, rude] = [0, 0, 0];
  for (const port of ports) {
    const counts = await (await fetch(`http://127.0.0.1:${port}/counts`)).json();
    console.log(`server ${port}: ${JSON.stringify(counts)}`);
    connected += counts.connected;
    peak += counts.peak;
    for (const [reason, n] of Object.entries(counts.reasons)) if (reason !== "client namespace disconnect") rude += n;
  }
  console.log(`${connected} of ${clients} clients came, at most ${peak} at once; ${rude} ended otherwise than by leaving`);
  if (!Number(first) || !Number(most)) throw new Error("the agent was not seen");
  const each = ((most - first) / peak).toFixed(2);
  console.log(`agent: ${first} KiB resident before, ${most} KiB at most: ${each} KiB a client (goal 16)`);
})();
' "$folder/report.json" "$clients" "${first:-0}" "$most" 18101 18102 18103
exit "$status"
