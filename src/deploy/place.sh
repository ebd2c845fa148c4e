# What the scripts of deploy.rs and removal.rs share: how they answer, and where agents are kept. It is sent before
# either of them. Whatever the controller waits for is a line that begins with "swarm-deploy NONCE".
#
# All of it is functions, called in the last line: a shell that reads its script ahead must have read the whole of it
# before the first byte that is no script is sent.

say() {
    printf 'swarm-deploy %s %s\n' "$nonce" "$*"
}

# Mode and owner of a path, the link itself and not what it leads to.
mode_and_owner() {
    set -- $(LC_ALL=C ls -ldn "$1" 2>/dev/null)
    printf '%s %s' "$1" "$3"
}

# Calls "$1" with each folder in which an agent may be kept from run to run, the best first.
each_kept_folder() {
    for folder in "${HOME:+$HOME/.cache/swarm}" "${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/swarm}" \
        "/var/tmp/swarm-$uid" "/tmp/swarm-$uid" "/dev/shm/swarm-$uid"; do
        [ -z "$folder" ] || "$1" "$folder"
    done
}

# Calls "$1" with each folder in which a new one, swarm-XXXXXXXX, may be made for an agent that is not kept.
each_new_parent() {
    for folder in "${TMPDIR:-/tmp}" /tmp /var/tmp /dev/shm; do
        "$1" "$folder"
    done
}

