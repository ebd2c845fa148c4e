# Runs in root's /bin/sh on a host that has just booted, over the first connection. Whatever the controller waits for is
# a line that begins with "swarm-settle NONCE". Its own input is on descriptor 3.
#
# Everyone on the host can read the boot host key, so it is replaced, in two steps: the new key is made and named, and
# takes its place when the controller has said that it knows it. Each step can be done again after any interruption.

say() {
    printf 'swarm-settle %s %s\n' "$nonce" "$*"
}

flat() {
    printf '%s' "$*" | tr '\r\n' '  '
}

# Says what could not be done, with the reason, and ends.
fail() {
    what=$1
    shift
    say failed "$what" "$(flat "$@")"
    exit 1
}

# The timer.

see_timer() {
    waited=0
    until seen=$(sh "$timer/ttl" check 2>&1); do
        # This file is written, in memory, when cloud-init has done all that it does at a boot.
        if [ -e "$running/result.json" ] || [ "$waited" -ge "$patience" ]; then fail timer "$seen"; fi
        [ $((waited % 5)) -ne 0 ] || say waiting "$(flat "$seen")"
        sleep 1
        waited=$((waited + 1))
    done
    say timer "$seen"
}

# The addresses.

see_address() {
    case $(ip -o addr show) in
        *" $1/"*) say address "$1" there; return ;;
    esac
    set -- "$1" "${SSH_CONNECTION% *}"
    set -- "$1" "${2##* }"
    interface=$(ip -o addr show | while read -r number name family address rest; do
        case $address in "$2"/*) echo "${name%%@*}"; break ;; esac
    done)
    if [ -z "$interface" ]; then
        say address "$1" failed "no interface has the address $2 of this connection"
        return
    fi
    # One address and no network: the way to its neighbours stays the one of the first address.
    bits=32
    case $1 in *:*) bits=128 ;; esac
    if why=$(ip addr add "$1/$bits" dev "$interface" 2>&1); then
        say address "$1" added
    else
        say address "$1" failed "$(flat "$why")"
    fi
}

# The host key.

# Finds the sshd that this session came through: from here up, the first row of processes of that name. Its last one
# listens, unless each connection has an sshd of its own (inetd, a socket with Accept=yes). Sets $listener, which may be
# empty, $sshd, and $options: the words of its command line that say which configuration it has.
find_sshd() {
    step=$$ last=
    while [ "${step:-0}" -ge 1 ]; do
        name= parent=
        while read -r field value rest; do
            case $field in Name:) name=$value ;; PPid:) parent=$value ;; esac
        done <"/proc/$step/status"
        case $name in
            sshd | sshd-session | sshd-auth) last=$step ;;
            *) [ -z "$last" ] || break ;;
        esac
        step=$parent
    done
    listener=$last sshd=/usr/sbin/sshd options=
    [ -n "$last" ] || return
    program=$(readlink "/proc/$last/exe")
    case ${program% (deleted)} in */sshd) [ ! -x "${program% (deleted)}" ] || sshd=${program% (deleted)} ;; esac
    words=$(tr '\0' ' ' <"/proc/$last/cmdline")
    case $words in
        *'[listener]'*) ;;
        'sshd: '* | sshd-*) listener= ; return ;;
    esac
    set -f
    before=
    for word in $words; do
        case $before in -f | -h | -o) options="$options $before $word" ;; esac
        case $word in '[listener]') break ;; -i) listener= ;; esac
        before=$word
    done
    set +f
}

# The public half of a private key, without its comment; fails where there is none.
public_of() {
    public=$(ssh-keygen -y -P '' -f "$1" </dev/null 2>/dev/null) || return 1
    set -f
    set -- $public
    set +f
    [ -n "$2" ] && echo "$1 $2"
}

# Sets $host_key, the file of the ed25519 key that sshd shows, and $others, the files of its other keys.
find_host_key() {
    host_key= others=
    files=$("$sshd" -T $options -C user=root,host=localhost,addr=127.0.0.1 2>/dev/null | sed -n 's/^hostkey //p')
    if [ -z "$files" ]; then
        case $options in *' -f '*) fail key "sshd cannot read its configuration:$options" ;; esac
        files=/etc/ssh/ssh_host_ed25519_key
    fi
    while read -r file; do
        case $host_key,$(public_of "$file") in
            ,'ssh-ed25519 '*) host_key=$file ;;
            *) others="$others$file
" ;;
        esac
    done <<FILES
$files
FILES
}

# Names the key that this host will have: a new one, one that an earlier try made, or the one it has already.
name_key() {
    find_sshd
    find_host_key
    [ -n "$host_key" ] || fail key "sshd has no ed25519 host key among: $files"
    new=$host_key.swarm
    shown=$(public_of "$host_key")
    if [ "$shown" != "$boot_key" ]; then
        say key "$shown"
        new= public=$shown
        return
    fi
    if ! public=$(public_of "$new"); then
        rm -f "$new" "$new.pub"
        why=$(ssh-keygen -q -t ed25519 -N '' -C swarm -f "$new" </dev/null 2>&1) || fail key "$why"
        public=$(public_of "$new") || fail key "$new cannot be read again"
    fi
    why=$("$sshd" -t $options -o "HostKey=$new" 2>&1) || fail key "sshd would not start with it: $why"
    say key "$public"
}

# Puts it in the place of the boot key, which is gone with that, and makes sshd show it.
switch_key() {
    if [ -n "$new" ]; then
        why=$(mv -f "$new" "$host_key" 2>&1) || fail switch "$why"
        rm -f "$new.pub"
    fi
    { printf '%s swarm\n' "$public" >"$host_key.pub" && chmod 644 "$host_key.pub"; } 2>/dev/null
    # Unknown to the controller, and perhaps as old as the image.
    while read -r file; do
        [ -z "$file" ] || rm -f "$file" "$file.pub"
    done <<FILES
$others
FILES
    { restorecon "$host_key" "$host_key.pub"; sync "$host_key" || sync; } >/dev/null 2>&1
    forget_boot_key
    if [ -n "$listener" ]; then
        kill -s HUP "$listener" 2>/dev/null || fail switch "sshd, process $listener, cannot be told"
    fi
    see_switched
}

# Looks at what sshd shows to those who connect. A HUP takes it a moment, in which it may refuse.
see_switched() {
    set -f
    set -- $SSH_CONNECTION
    set +f
    tries=0
    while [ "$tries" -lt 20 ]; do
        case $(ssh-keyscan -T 2 -t ed25519 -p "${4:-22}" "${3:-127.0.0.1}" 2>/dev/null) in
            *" $public"*) say switched seen; return ;;
            *" $boot_key"*) shown=old ;;
        esac
        tries=$((tries + 1))
        sleep 0.3 2>/dev/null || sleep 1
    done
    [ "$shown" != old ] || fail switch 'sshd still shows the boot key'
    say switched unseen
}

# cloud-init keeps what it was told at boot, in files of root's.
forget_boot_key() {
    for file in "$cloud/instance/user-data.txt" "$cloud/instance/user-data.txt.i" "$cloud/instance/cloud-config.txt" \
        "$running/combined-cloud-config.json" "$running/instance-data-sensitive.json"; do
        [ -f "$file" ] && grep -q 'BEGIN OPENSSH PRIVATE KEY' "$file" || continue
        sed -e 's/-----BEGIN OPENSSH PRIVATE KEY-----.*-----END OPENSSH PRIVATE KEY-----/taken out by swarm/g' \
            -e '/-----BEGIN OPENSSH PRIVATE KEY-----/,/-----END OPENSSH PRIVATE KEY-----/{
                s/-----BEGIN OPENSSH PRIVATE KEY-----.*/taken out by swarm/
                t
                s/.*-----END OPENSSH PRIVATE KEY-----//
                t
                d
            }' "$file" >"$file.swarm" && cat "$file.swarm" >"$file"
        rm -f "$file.swarm"
    done 2>/dev/null
}

# What is asked for.

begin() {
    nonce=$1
    umask 077
    say ready
    read -r timer patience <&3 || exit 0
}

settle() {
    begin "$1"
    read -r boot_key <&3 && read -r cloud running <&3 && read -r addresses <&3 || exit 0
    see_timer
    set -f
    for address in $addresses; do see_address "$address"; done
    set +f
    name_key
    # Without this word the boot key stays.
    read -r word <&3 && [ "$word" = switch ] || exit 0
    switch_key
}

extend() {
    begin "$1"
    read -r until_s ttl_s <&3 || exit 0
    why=$(sh "$timer/ttl" extend "$until_s" "$ttl_s" 2>&1) || fail timer "$why"
    see_timer
}

