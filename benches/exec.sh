#!/usr/bin/env bash
# Prints a table of `swarm exec`, pssh and Fabric on N hosts (16), each a network namespace with a real sshd: start skew as a
# listener on the bridge sees it, wall time of `true`, and what still runs 5 s after a Ctrl-C. Medians of R rounds (5), in
# which the tools take turns. Needs root, sshd, python3 and parallel-ssh; Fabric goes into a venv. Must not: gate anything.
# benches/exec.sh [HOSTS] [ROUNDS] [SWARM]
set -euo pipefail
cd "$(dirname "$0")/.."
hosts="${1:-16}"; rounds="${2:-5}"; swarm="$(realpath "${3:-target/release/swarm}")"
[ -x "$swarm" ] || { echo "no $swarm: cargo build --release --no-default-features" >&2; exit 1; }
command -v parallel-ssh >/dev/null || { echo "parallel-ssh is lacking: apt-get install pssh" >&2; exit 1; }
venv="${SWARM_BENCH_VENV:-target/bench-venv}"
[ -x "$venv/bin/fab" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet fabric; }
export PATH="$PATH:/usr/sbin:/sbin" VENV="$(realpath "$venv")" SWARM="$swarm" HOSTS="$hosts" ROUNDS="$rounds"

# in a network and mounts of its own: nothing is left on this machine, whatever happens
exec unshare --net --mount --pid --fork --mount-proc bash -euo pipefail -c '
mount -t tmpfs tmpfs /run; mkdir -p /run/sshd /run/netns /run/b; cd /run/b
ip link set lo up
ip link add br0 address 02:78:00:00:00:fe type bridge; ip addr add 10.78.0.254/24 dev br0; ip link set br0 up
ssh-keygen -q -t ed25519 -N "" -f key; cp key.pub authorized
ssh-keygen -q -t ed25519 -N "" -f hostkey
list=; : >known
for n in $(seq "$HOSTS"); do
  ip netns add "n$n"
  ip link add "v$n" type veth peer name eth0 netns "n$n"; ip link set "v$n" master br0 up
  ip -n "n$n" addr add "10.78.0.$n/24" dev eth0; ip -n "n$n" link set eth0 up; ip -n "n$n" link set lo up
  mkdir -p "home$n"
  cat >"sshd$n" <<END
HostKey /run/b/hostkey
PidFile /run/b/pid$n
AuthorizedKeysFile /run/b/authorized
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PrintMotd no
PrintLastLog no
UseDNS no
END
  ip netns exec "n$n" sh -c "mount --bind /run/b/home$n /root; exec /usr/sbin/sshd -f /run/b/sshd$n -E /run/b/log$n"
  echo "10.78.0.$n $(cut -d" " -f1,2 hostkey.pub)" >>known
  list="$list,10.78.0.$n"
done
list="${list#,}"; tr , "\n" <<<"$list" >list
cat >config <<END
Host *
  User root
  IdentityFile /run/b/key
  IdentitiesOnly yes
  UserKnownHostsFile /run/b/known
END
mkdir -p home; export HOME=/run/b/home
cat >group.py <<END
import sys
from fabric import ThreadingGroup, Config
from paramiko import AutoAddPolicy
group = ThreadingGroup(*open("/run/b/list").read().split(), user="root", connect_kwargs={"key_filename": "/run/b/key"})
group.run(sys.argv[1], hide=True)
END
cat >hear.py <<END
# Arrival of one packet a host, by one clock; prints last minus first, ms.
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.78.0.254", 9999)); s.settimeout(60)
open("/run/b/ready", "w").close()
seen = {}
while len(seen) < int(sys.argv[1]):
    _, who = s.recvfrom(64); seen.setdefault(who[0], time.monotonic())
print("%.1f" % ((max(seen.values()) - min(seen.values())) * 1000))
END
run() { # tool, shell line
  case "$1" in
    "swarm exec") exec "$SWARM" exec --quiet -F config --hosts "$list" -- bash -c "$2" ;;
    "pssh -p $HOSTS") exec parallel-ssh -p "$HOSTS" -t 0 -h list -x "-F /run/b/config" "bash -c $(printf %q "$2")" ;;
    "Fabric ThreadingGroup") exec "$VENV/bin/python" group.py "bash -c $(printf %q "$2")" ;;
    "fab -H") exec "$VENV/bin/fab" -S config -i key -H "$list" -- "bash -c $(printf %q "$2")" ;;
  esac
}
tools=("swarm exec" "pssh -p $HOSTS" "Fabric ThreadingGroup" "fab -H")
now() { date +%s%N; }
median() { sort -n "$1" | awk "{ v[NR] = \$1 } END { if (NR == 0) exit 1; printf \"%.0f (%.0f to %.0f)\", (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, v[1], v[NR] }"; }
left() { pgrep -fc "^sleep 61[0-9]" || true; }
for t in "${!tools[@]}"; do # the agent is brought, caches are warm
  (run "${tools[$t]}" true) >"warm$t" 2>&1 || { echo "${tools[$t]} failed:"; tail -5 "warm$t"; exit 1; }
done
for round in $(seq "$ROUNDS"); do
  for t in "${!tools[@]}"; do
    rm -f ready; python3 hear.py "$HOSTS" >one & ear=$!
    until [ -e ready ]; do sleep 0.05; done
    (run "${tools[$t]}" "echo >/dev/udp/10.78.0.254/9999") >/dev/null 2>&1; wait "$ear"; cat one >>"skew$t"
    from=$(now); (run "${tools[$t]}" true) >/dev/null 2>&1; echo $((($(now) - from) / 1000000)) >>"wall$t"
  done
done
for t in "${!tools[@]}"; do
  set -m; (run "${tools[$t]}" "(setsid sleep 611 &); exec sleep 612") >/dev/null 2>&1 & tool=$!; set +m
  for _ in $(seq 100); do sleep 0.1; [ "$(left)" -lt $((2 * HOSTS)) ] || break; done
  left >"began$t"
  kill -INT -- "-$tool"; for _ in $(seq 150); do kill -0 "$tool" 2>/dev/null || break; sleep 0.1; done
  kill -KILL -- "-$tool" 2>/dev/null || true; wait "$tool" 2>/dev/null || true
  sleep 5; left >"left$t"
  for pid in $(pgrep -f "^sleep 61[0-9]"); do kill -KILL "$pid"; done
done
echo "| $HOSTS hosts, $ROUNDS rounds | start skew seen from outside, ms | wall time of true, ms | left running after Ctrl-C |"
echo "| --- | --- | --- | --- |"
for t in "${!tools[@]}"; do
  echo "| ${tools[$t]} | $(median "skew$t") | $(median "wall$t") | $(cat "left$t") of $(cat "began$t") processes |"
done
for n in $(seq "$HOSTS"); do kill "$(cat "pid$n")" || true; done
'
