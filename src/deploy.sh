# Runs in /bin/sh on the host, read from standard input behind deploy/place.sh. It brings the agent there when it is not
# there yet, and becomes it.

# Prints the SHA-256 of a file, or nothing where there is no hasher.
hash_of() {
    if command -v sha256sum >/dev/null 2>&1; then
        set -- $(sha256sum <"$1")
    elif command -v busybox >/dev/null 2>&1 && busybox sha256sum </dev/null >/dev/null 2>&1; then
        set -- $(busybox sha256sum <"$1")
    elif command -v openssl >/dev/null 2>&1; then
        set -- $(openssl dgst -sha256 -r <"$1")
    elif command -v shasum >/dev/null 2>&1; then
        set -- $(shasum -a 256 <"$1")
    else
        set --
    fi
    printf '%s' "$1"
}

# Whether "$1" is a folder that only we can write to, after a mkdir; else says why not in $why.
is_our_folder() {
    why=
    case $1 in
        /*) ;;
        *) why='no absolute path'; return 1 ;;
    esac
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then
        why=$(LC_ALL=C mkdir -p "${1%/*}" 2>&1) || return 1
        why=$(LC_ALL=C mkdir -m 700 "$1" 2>&1) || [ -d "$1" ] || return 1
    fi
    case $(mode_and_owner "$1") in
        drwx------*" $uid") return 0 ;;
        d*" $uid") chmod 700 "$1" 2>/dev/null && return 0; why='its mode cannot be changed' ;;
        d*) why='it belongs to another user' ;;
        l*) why='it is a symbolic link' ;;
        *) why='it is no folder' ;;
    esac
    return 1
}

# Whether programs may run in folder "$1". A folder in which nothing can be written is left to the upload to judge.
runs_programs() {
    probe=$1/.probe.$nonce.$$
    { printf '#!/bin/sh\nexit 0\n' >"$probe"; } 2>/dev/null && chmod 700 "$probe" 2>/dev/null || {
        rm -f "$probe" 2>/dev/null
        return 0
    }
    "$probe" </dev/null >/dev/null 2>&1
    ran=$?
    rm -f "$probe"
    why='programs cannot be run from it (noexec)'
    return $ran
}

# Whether the agent lies in "$1" already: our file, written by nobody else, with the right content.
is_the_agent() {
    case $(mode_and_owner "$1") in
        -rwx------*" $uid") ;;
        *) return 1 ;;
    esac
    [ -x "$1" ] && [ "$(hash_of "$1")" = "$sha" ]
}

# Takes the agent's bytes from standard input into file "$1". Reads all of them even when they cannot be kept.
receive() {
    if command -v gzip >/dev/null 2>&1; then
        say send gz
        why=$({ head -c "$gz_length" | { LC_ALL=C gzip -dc >"$1"; kept=$?; cat >/dev/null; exit $kept; }; } 2>&1)
    else
        say send raw
        why=$({ head -c "$raw_length" | { LC_ALL=C cat >"$1"; kept=$?; cat >/dev/null; exit $kept; }; } 2>&1)
    fi || { [ -n "$why" ] || why='it cannot be written to'; return 1; }
    set -- "$1" $(wc -c <"$1")
    [ "$2" = "$raw_length" ] || { why="only $2 of $raw_length bytes arrived"; return 1; }
    set -- "$1" "$(hash_of "$1")"
    [ -z "$2" ] || [ "$2" = "$sha" ] || { why='what arrived is not what was sent'; return 1; }
}

# Puts the agent into folder "$1", which is ours. Nobody ever sees half a file under its name.
put() {
    part=$1/.part.$nonce.$$
    rm -rf "$1/$name.gone.$$"
    if receive "$part" && chmod 700 "$part" && { [ ! -d "$1/$name" ] || mv "$1/$name" "$1/$name.gone.$$"; } && mv -f "$part" "$1/$name"; then
        rm -rf "$1/$name.gone.$$"
        return 0
    fi
    rm -f "$part"
    return 1
}

# Becomes the agent in folder "$1", if that can be done.
start_in() {
    is_our_folder "$1" && runs_programs "$1" || return 1
    if [ -n "$hasher" ] && is_the_agent "$1/$name"; then
        say have "$1"
    else
        put "$1" || return 1
        say sent "$1"
    fi
    exec "$1/$name" "$nonce"
}

# The same in a new folder under "$1" that is taken away afterwards.
start_in_new() {
    [ -d "$1" ] || { why='it is not there'; return 1; }
    new=$(LC_ALL=C mktemp -d "$1/swarm-XXXXXXXX" 2>&1) || { why=$new; return 1; }
    if runs_programs "$new" && put "$new"; then
        say sent "$new"
        "$new/$name" "$nonce"
        left=$?
        rm -rf "$new"
        exit $left
    fi
    rm -rf "$new"
    return 1
}

tried() {
    say tried "$1: $(printf '%s' "$why" | tr '\n' ' ')"
}

keep_in() {
    start_in "$1"
    tried "$1"
}

keep_not_in() {
    start_in_new "$1"
    tried "$1 (a new folder)"
}

deploy() {
    nonce=$1
    umask 077
    uid=$(id -u)
    printf '\n'
    say host "$(uname -s)" "$(uname -m)"
    read -r sha gz_length raw_length || exit 0
    name=agent-$(printf '%.16s' "$sha")
    hasher=$(hash_of /dev/null)
    if ! command -v head >/dev/null 2>&1; then
        why='the command head is missing'
        tried anywhere
        say none
        return
    fi
    [ -z "$hasher" ] || each_kept_folder keep_in
    each_new_parent keep_not_in
    say none
}

