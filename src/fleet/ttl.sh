# Ends this machine when its time is over. It lies in a folder that only root can enter, and keeps its files there.
#
#   sh FOLDER/ttl start UNTIL TTL    at each boot: sees to a watcher that ends the machine TTL seconds from now, and
#                                    before that if the wall clock (seconds since 1970) reaches UNTIL first
#   sh FOLDER/ttl extend UNTIL TTL   the same two, in the place of what was said before, for good
#   sh FOLDER/ttl check              prints the seconds left and the watcher's process, and fails if it does not live
#   sh FOLDER/ttl watch DEADLINE     the watcher itself
#
# The wall clock is read once, when a time is set: from there the time is counted in /proc/uptime, so that no jump of the
# clock matters. A clock that is wrong just then can end the machine early, or after TTL, never later.
#
# Files: given, extended: "UNTIL TTL"; deadline: "BOOT UPTIME"; pid. Must not: read its environment, but for PATH.

folder=${0%/*}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
umask 077

fail() {
    echo "swarm ttl: $*" >&2
    exit 1
}

is_number() {
    case $1 in '' | *[!0-9]* | 0?* | ?????????????*) return 1 ;; esac
}

are_times() {
    is_number "$1" && is_number "$2"
}

look_up_time() {
    read -r up idle </proc/uptime
    up=${up%%.*}
}

# Sets $deadline, in seconds of /proc/uptime.
set_deadline() {
    look_up_time
    seconds=$2
    now=$(date +%s)
    if is_number "$now" && [ $(($1 - now)) -lt "$seconds" ]; then seconds=$(($1 - now)); fi
    [ "$seconds" -gt 0 ] || seconds=0
    deadline=$((up + seconds))
}

# Nobody ever sees half a file, and a power cut does not bring an old one back.
keep() {
    { printf '%s\n' "$2" >"$folder/.$1.$$" && mv -f "$folder/.$1.$$" "$folder/$1"; } || return 1
    { sync "$folder/$1" || sync; } 2>/dev/null || :
}

# Sets $deadline to the one that was kept during this boot; leaves it alone otherwise.
kept_deadline() {
    at_boot= kept=
    { read -r at_boot kept <"$folder/deadline"; } 2>/dev/null
    [ -n "$boot" ] && [ "$at_boot" = "$boot" ] && is_number "$kept" && deadline=$kept
}

# Whether the watcher lives: not only some process of its number. Sets $pid, or $why.
lives() {
    pid=
    { read -r pid <"$folder/pid"; } 2>/dev/null
    is_number "$pid" || { why='no watcher was started'; return 1; }
    case $({ tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null) in
        *"
$0
watch
"*) ;;
        *) why="process $pid is not the watcher"; return 1 ;;
    esac
    case $(LC_ALL=C sed -n 's/^State:[^A-Za-z]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) in
        '' | T | t | X | Z) why="the watcher, process $pid, is stopped or dead"; return 1 ;;
    esac
}

see_to_watcher() {
    lives && return
    if command -v setsid >/dev/null; then
        setsid sh "$0" watch "$deadline" </dev/null >/dev/null 2>&1 &
    else
        sh "$0" watch "$deadline" </dev/null >/dev/null 2>&1 &
    fi
    keep pid $!
    tried=0
    until lives; do
        tried=$((tried + 1))
        [ "$tried" -le 50 ] || fail "$why"
        sleep 0.1 2>/dev/null || sleep 1
    done
}

start() {
    given=
    { read -r given <"$folder/given"; } 2>/dev/null
    if [ "$given" != "$1 $2" ]; then
        # Left by another machine, of which this one's disk was made.
        rm -f "$folder/extended" "$folder/deadline"
        keep given "$1 $2"
    fi
    if ! kept_deadline; then
        until_s= ttl_s=
        { read -r until_s ttl_s <"$folder/extended"; } 2>/dev/null
        are_times "$until_s" "$ttl_s" || { until_s=$1 ttl_s=$2; }
        set_deadline "$until_s" "$ttl_s"
        # On a full disk the watcher still has it from its command line.
        keep deadline "$boot $deadline"
    fi
    see_to_watcher
}

extend() {
    if kept_deadline; then
        look_up_time
        [ "$deadline" -gt "$up" ] || fail 'the time is over, it is ending already'
    fi
    set_deadline "$1" "$2"
    keep extended "$1 $2" && keep deadline "$boot $deadline" || fail 'the new time cannot be written down'
    see_to_watcher
}

check() {
    lives || fail "$why"
    kept_deadline || fail 'no time was set since the boot'
    look_up_time
    seconds=$((deadline - up))
    [ "$seconds" -gt 0 ] || seconds=0
    echo "$seconds $pid"
}

watch() {
    deadline=$1
    # A shell that cannot fork any more ends: then it begins again, as the same process.
    trap 'exec sh "$0" watch "$deadline"' EXIT
    trap 'trap - EXIT; exit 143' TERM
    trap '' HUP
    cd /
    { echo -1000 >/proc/$$/oom_score_adj; } 2>/dev/null || :
    while :; do
        kept_deadline
        look_up_time
        nap=$((deadline - up))
        [ "$nap" -gt 0 ] || break
        [ "$nap" -le 2 ] || nap=2
        sleep "$nap"
    done
    while :; do
        end_by shutdown -P now
        end_by poweroff -f
        end_by poweroff -f -f
        end_by halt -f -p
    done
}

end_by() {
    if "$@"; then sleep 60; else sleep 1; fi
}

main() {
    case $0 in /*) ;; *) fail 'call it by its whole path' ;; esac
    boot=
    { read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
    case $1 in
        start | extend) [ $# -eq 3 ] && are_times "$2" "$3" || fail "$1 takes UNTIL and TTL, in seconds" ;;
        check) [ $# -eq 1 ] || fail 'check takes nothing' ;;
        watch) [ $# -eq 2 ] && is_number "$2" || fail 'watch takes DEADLINE' ;;
        *) fail 'use start, extend or check' ;;
    esac
    "$@"
}

main "$@"
