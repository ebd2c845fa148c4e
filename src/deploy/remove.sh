# Runs in /bin/sh on the host, read from standard input behind place.sh. It ends our agents there and removes what
# deploy.sh leaves: the agent's files, what an upload that was cut off left, and the folders when nothing else is in them.
#
# Ours is what belongs to this user, lies in a folder that deploy.sh uses, and has a name that deploy.sh gives. Nothing
# else is ended or removed, and no symbolic link is followed.
#
# It answers: "stopped PID", "removed FILE", "emptied FOLDER", "left WHAT: WHY", and "done" at the end.

hex4='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'

is_agent_name() {
    case $1 in
        agent-$hex4$hex4$hex4$hex4) return 0 ;;
    esac
    return 1
}

# Whether "$1" is what mktemp makes of XXXXXXXX.
is_mktemp_ending() {
    case $1 in
        *[!A-Za-z0-9]*) return 1 ;;
        ????????) return 0 ;;
    esac
    return 1
}

# Whether a file of this name is a leftover: of deploy.sh .part.NONCE.PID, .probe.NONCE.PID, agent-HASH.gone.PID; of an
# agent whose host lost its power the folder of a command, exec-RUN-PID.
is_leftover_name() {
    case $1 in
        .part.*.* | .probe.*.*)
            case ${1#.p*.} in
                *[!a-z0-9.]* | .* | *. | *.*.*) return 1 ;;
            esac
            return 0
            ;;
        agent-*.gone.*)
            is_agent_name "${1%%.*}" || return 1
            case ${1#*.gone.} in
                '' | *[!0-9]*) return 1 ;;
            esac
            return 0
            ;;
        exec-*-*)
            case ${1#exec-} in
                *[!a-z0-9-]* | -*) return 1 ;;
            esac
            case ${1##*-} in
                '' | *[!0-9]*) return 1 ;;
            esac
            return 0
            ;;
    esac
    return 1
}

left() {
    say left "$(printf '%s' "$1: ${2:-no reason given}" | tr '\n' ' ')"
}

# Puts "$1" into $at as the kernel names it, no link in it, whether or not the end of it still exists.
physical() {
    there=$1
    gone=
    while [ ! -d "$there" ]; do
        gone=/${there##*/}$gone
        there=${there%/*}
        [ -n "$there" ] || there=/
    done
    at=$(cd -P "$there" 2>/dev/null && pwd -P)
    at=${at%/}$gone
}

matches_kept() {
    physical "$1"
    [ "$at" != "$wanted" ] || matched=yes
}

matches_new() {
    physical "$1"
    case $wanted in
        "${at%/}"/swarm-*) ! is_mktemp_ending "${wanted#"${at%/}"/swarm-}" || matched=yes ;;
    esac
}

# Whether folder "$1" is one that deploy.sh uses. It may be gone: its agent still runs.
is_our_place() {
    wanted=$1
    matched=no
    each_kept_folder matches_kept
    each_new_parent matches_new
    [ "$matched" = yes ]
}

# Where a link of /proc leads.
leads_to() {
    to=$(LC_ALL=C ls -ldn "$1" 2>/dev/null)
    to=${to#* -> }
}

# Whether process "$1" is ours and runs an agent, by the file that the kernel says it runs. In another mount namespace
# (a container) the same path is another file.
is_our_agent() {
    case $(mode_and_owner "/proc/$1/exe") in
        l*" $uid") ;;
        *) return 1 ;;
    esac
    leads_to "/proc/$1/ns/mnt"
    [ "$to" = "$mounts" ] || return 1
    leads_to "/proc/$1/exe"
    program=${to% (deleted)}
    is_agent_name "${program##*/}" && is_our_place "${program%/*}"
}

# Ids of processes that may run an agent: by one look at all of them, to be looked at more closely.
candidates() {
    LC_ALL=C ls -ldn /proc/[0-9]*/exe 2>/dev/null | while read -r line; do
        case $line in
            *' /proc/'*'/exe -> '*/agent-*) ;;
            *) continue ;;
        esac
        line=${line#*' /proc/'}
        case ${line%%/*} in
            '' | *[!0-9]*) ;;
            *) printf '%s\n' "${line%%/*}" ;;
        esac
    done
}

any_runs() {
    for pid in $agents; do
        ! is_our_agent "$pid" || return 0
    done
    return 1
}

# Waits "$1" tenths of a second, or until no agent runs.
wait_for_agents() {
    tenths=$1
    while [ "$tenths" -gt 0 ] && any_runs; do
        if sleep 0.1 2>/dev/null; then
            tenths=$((tenths - 1))
        else
            sleep 1
            tenths=$((tenths - 10))
        fi
    done
}

stop_agents() {
    if [ ! -e /proc/self ]; then
        left 'agents that may run' 'there is no /proc to find them in'
        return
    fi
    leads_to "/proc/$$/ns/mnt"
    mounts=$to
    agents=
    for pid in $(candidates); do
        if is_our_agent "$pid"; then
            agents="$agents $pid"
            kill -TERM "$pid" 2>/dev/null
        fi
    done
    [ -n "$agents" ] || return 0
    wait_for_agents 20
    for pid in $agents; do
        ! is_our_agent "$pid" || kill -KILL "$pid" 2>/dev/null
    done
    wait_for_agents 10
    for pid in $agents; do
        if is_our_agent "$pid"; then
            left "agent with process id $pid" 'it does not end'
        else
            say stopped "$pid"
        fi
    done
}

# Removes what is ours from folder "$1", which is ours.
clean() {
    chmod 700 "$1" 2>/dev/null
    for file in "$1"/agent-* "$1"/.part.* "$1"/.probe.* "$1"/exec-*; do
        is_agent_name "${file##*/}" || is_leftover_name "${file##*/}" || continue
        case $(mode_and_owner "$file") in
            -*" $uid") ;;
            d*" $uid")
                # what lay in the place of an agent may have been a folder: deploy.sh puts it aside; a command's is one
                is_leftover_name "${file##*/}" || continue
                ;;
            *) continue ;;
        esac
        if why=$(LC_ALL=C rm -rf "$file" 2>&1) && [ ! -e "$file" ]; then
            removed=$((removed + 1))
            say removed "$file"
        else
            left "$file" "${why##*: }"
        fi
    done
}

is_folder_of_ours() {
    case $(mode_and_owner "$1") in
        d*" $uid") return 0 ;;
    esac
    return 1
}

# Removes folder "$1" unless something else is in it.
drop_folder() {
    if why=$(LC_ALL=C rmdir "$1" 2>&1); then
        say emptied "$1"
        return
    fi
    set -- "$1" "$1"/* "$1"/.[!.]* "$1"/..?*
    for file; do
        # something else is in it: it is kept for that
        [ "$file" = "$1" ] || [ ! -e "$file" ] && [ ! -L "$file" ] || return 0
    done
    left "$1" "${why##*: }"
}

clean_kept() {
    if is_folder_of_ours "$1"; then
        clean "$1"
        drop_folder "$1"
    fi
}

clean_new() {
    for new in "${1%/}"/swarm-????????; do
        if is_mktemp_ending "${new##*/swarm-}" && is_folder_of_ours "$new"; then
            before=$removed
            clean "$new"
            # one that held no agent may be somebody else's idea
            [ "$removed" = "$before" ] || drop_folder "$new"
        fi
    done
}

remove() {
    nonce=$1
    uid=$(id -u)
    removed=0
    unset TIME_STYLE QUOTING_STYLE
    printf '\n'
    say host "$(uname -s)" "$(uname -m)"
    stop_agents
    each_kept_folder clean_kept
    each_new_parent clean_new
    say done
}

