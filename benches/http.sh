#!/usr/bin/env bash
# Prints requests per CPU second of wrk and of `swarm attack`, in interleaved rounds against one nginx on loopback.
# nginx is pinned to core 0, the generators to core 1. CPU is user and system of the whole process tree, for swarm the
# controller, its upload and its report included. Must not: gate anything, or end a process that it did not start.
# benches/http.sh [ROUNDS] [SECONDS]; SWARM names the binary.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin"
rounds="${1:-7}" seconds="${2:-3}" connections=64
swarm="$(realpath "${SWARM:-target/release/swarm}")"
port="${PORT:-18471}"
url="http://127.0.0.1:$port/file"
TIMEFORMAT='%U %S'

folder="$(mktemp -d)"
nginx=
end() {
  if [ -n "$nginx" ]; then kill "$nginx" 2>/dev/null || true; wait "$nginx" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap end EXIT

mkdir "$folder/www"
head -c 600 /dev/zero | tr '\0' x >"$folder/www/file"
cat >"$folder/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $folder/pid;
error_log $folder/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  open_file_cache max=16;
  server { listen 127.0.0.1:$port; root $folder/www; }
}
CONF
# nginx's workers drop root's rights; they must still reach the file
chmod 755 "$folder" "$folder/www"
taskset -c 0 nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/error.log" &
nginx=$!
for _ in $(seq 50); do
  curl -sf -o "$folder/got" "$url" && break
  sleep 0.1
done
cmp "$folder/got" "$folder/www/file"

# Requests, CPU seconds and their ratio, from a count and the line "user system".
rate() { awk -v n="$1" '{ printf "%d %.2f %.0f", n, $1 + $2, n / ($1 + $2) }' "$2"; }
run_wrk() {
  { time taskset -c 1 timeout 60 wrk -t1 -c"$connections" -d"${seconds}s" "$url" >"$folder/wrk.out"; } 2>"$folder/wrk.cpu"
  if grep -E 'Socket errors|Non-2xx' "$folder/wrk.out" >&2; then return 1; fi
  rate "$(awk '/requests in/ { print $1 }' "$folder/wrk.out")" "$folder/wrk.cpu"
}
run_swarm() {
  { time taskset -c 1 timeout 60 "$swarm" attack "$url" -c "$connections" -z "${seconds}s" -o "$folder/report.json" \
      >"$folder/swarm.out" 2>"$folder/swarm.err"; } 2>"$folder/swarm.cpu" || { cat "$folder/swarm.err" >&2; return 1; }
  # one line, one number: the totals of the report
  rate "$(total ok)" "$folder/swarm.cpu"
}
total() { jq ".totals.$1" "$folder/report.json"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

run_wrk >/dev/null
form='%5s | %8s %6s %10s | %8s %6s %10s | %s\n'
printf "$form" round 'wrk req' 'CPU s' 'req/CPU s' 'swarm ok' 'CPU s' 'req/CPU s' ratio
for round in $(seq "$rounds"); do
  # who goes first alternates
  if ((round % 2)); then w="$(run_wrk)"; s="$(run_swarm)"; else s="$(run_swarm)"; w="$(run_wrk)"; fi
  ratio="$(awk -v s="${s##* }" -v w="${w##* }" 'BEGIN { printf "%.3f", s / w }')"
  # shellcheck disable=SC2086,SC2059
  printf "$form" "$round" $w $s "$ratio"
  echo "${w##* } ${s##* } $ratio" >>"$folder/rounds"
done
printf 'median wrk %s, swarm %s requests per CPU second; median ratio %s (goal 0.8)\n' \
  "$(cut -d' ' -f1 "$folder/rounds" | median)" "$(cut -d' ' -f2 "$folder/rounds" | median)" \
  "$(cut -d' ' -f3 "$folder/rounds" | median)"
