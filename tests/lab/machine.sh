#!/bin/sh
# Owns: one machine that stands for an EC2 instance: its network namespace, then (`inside`) its own files and its boot,
# as cloud-init would do it. Ends as sshd, the machine's process 1. Must not: write a file of the machine it runs on.
# Usage: machine.sh NAMESPACE BRIDGE PORT ADDRESS MAC PRIVATE_ADDRESS FOLDER
set -eu

if [ "$1" != inside ]; then
  ip -batch - <<EOF
netns add $1
link add $3 type veth peer name eth0 netns $1
link set $3 master $2 up
EOF
  # A fixed MAC: whoever knew this address before still reaches it. The instance's own private address is there too.
  ip -n "$1" -batch - <<EOF
link set eth0 address $5 up
link set lo up
addr add $4/24 dev eth0
addr add $6/20 dev eth0
EOF
  # The new process 1 dies with this process, and everything in its namespace with it.
  exec ip netns exec "$1" unshare --mount --uts --pid --fork --kill-child sh "$0" inside "$7" "ip-$(echo "$6" | tr . -)"
fi

folder=$2
mount --make-rprivate /
mount -t proc proc /proc
hostname "$3"
# What the lab wrote for this machine, and what it reads of it.
mount --bind "$folder" /mnt
mount -t tmpfs -o size=512m,mode=755 machine /media
for top in etc usr var; do
  mkdir /media/$top /media/$top.work
  mount -t overlay -o lowerdir=/$top,upperdir=/media/$top,workdir=/media/$top.work machine /$top
done
mount -t tmpfs -o size=256m,mode=700 machine /root
mount -t tmpfs -o size=256m,mode=1777 machine /tmp
mount -t tmpfs -o size=64m,mode=1777 machine /dev/shm
mount -t tmpfs -o size=256m,mode=755 machine /home
mount -t tmpfs -o size=64m,mode=755 machine /run
mount -o remount,bind,ro /
mkdir /run/sshd
rm -rf /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d /var/tmp/* /var/lib/cloud

# The image's user, who may do everything through sudo.
echo 'ec2-user:x:4242:4242:EC2 user:/home/ec2-user:/bin/bash' >>/etc/passwd
echo 'ec2-user:x:4242:' >>/etc/group
echo 'ec2-user:*:19000:0:99999:7:::' >>/etc/shadow
echo 'ec2-user ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users
chmod 440 /etc/sudoers.d/90-cloud-init-users
mkdir -m 700 /home/ec2-user /home/ec2-user/.ssh /root/.ssh

# Commands that end a machine: written down with their time, and carried out by the lab that watches this file.
record=/usr/sbin/lab-record
cat >$record <<'EOF'
#!/bin/sh
[ "$(id -u)" -eq 0 ] || { echo "$(basename "$0"): must be root" >&2; exit 1; }
name=$(basename "$0")
if [ "$name" = systemctl ]; then
  echo "$*" >>/mnt/systemctl.calls
  for word; do
    case "$word" in
      poweroff | halt | reboot) name=$word; break ;;
      reload | restart | try-reload-or-restart | reload-or-restart) act=1 ;;
      sshd | sshd.service | ssh | ssh.service) [ -z "${act-}" ] || kill -HUP 1 ;;
    esac
  done
  [ "$name" != systemctl ] || exit 0
  set --
fi
scheduled=/run/systemd/shutdown/scheduled
time=now
[ "$name" != shutdown ] || time=+1
for word; do
  case "$word" in
    -c) time=cancel ;;
    --show) cat $scheduled 2>/dev/null; exit 0 ;;
    now | +[0-9]*) time=$word ;;
  esac
done
rm -f $scheduled
case "$time" in
  +*) mkdir -p "${scheduled%/*}"
      printf 'USEC=%s000000\nWARN_WALL=1\nMODE=poweroff\n' $(($(date +%s) + ${time#+} * 60)) >$scheduled
      echo "Shutdown scheduled, use 'shutdown -c' to cancel." >&2 ;;
esac
# One line: when, by which command, what is to be, and the words as they were.
echo "$(date +%s.%N) $name $time $*" >>/mnt/shutdown.calls
EOF
chmod 755 $record
for name in shutdown poweroff halt reboot systemctl; do
  rm -f /usr/sbin/$name /usr/bin/$name
  ln -s $record /usr/sbin/$name
  ln -s $record /usr/bin/$name
done

# cloud-init, in its order: bootcmd, write_files, then keys, and only then does sshd answer.
export INSTANCE_ID="$(cat /mnt/instance)" HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /
sh /mnt/bootcmd.sh || echo "machine: bootcmd ended with $?"
sh -eu /mnt/files.sh
cp /mnt/keys/* /etc/ssh/ 2>/dev/null || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
chmod 600 /etc/ssh/ssh_host_*
cp /mnt/authorized_keys.user /home/ec2-user/.ssh/authorized_keys
cp /mnt/authorized_keys.root /root/.ssh/authorized_keys
chmod 600 /home/ec2-user/.ssh/authorized_keys /root/.ssh/authorized_keys
chown -R ec2-user:ec2-user /home/ec2-user
cat >/etc/ssh/sshd_config <<'EOF'
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
UseDNS no
LogLevel VERBOSE
Subsystem sftp internal-sftp
EOF
# The keys were the lab's to give; whoever logs in does not find them again.
rm -rf /mnt/keys
(
  until [ -e /run/sshd.pid ]; do sleep 0.05; done
  touch /mnt/ready
  exec sh /mnt/runcmd.sh
) &
exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config
