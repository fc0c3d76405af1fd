#!/bin/bash
# Goes on as first process of the lab VM on its overlay: file systems, kernel features, a way in by ssh; then waits and reaps.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
exec </dev/null
mountpoint -q /dev || mount -t devtmpfs dev /dev
exec >/dev/console 2>&1
umount -l /overlay
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t tmpfs -o mode=755,nosuid,nodev run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t cgroup2 none /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
for link in fd:/proc/self/fd stdin:/proc/self/fd/0 stdout:/proc/self/fd/1 stderr:/proc/self/fd/2; do ln -sfn "${link#*:}" "/dev/${link%%:*}"; done
mkdir -p /run/lock /run/sshd /run/netns /var/cache/pycache

modprobe -a virtio_net virtio_blk xfrm_interface vrf esp4 esp6 veth dummy bridge br_netfilter overlay ext4 iptable_nat nf_nat nf_tables nft_fib_inet nfnetlink_log
sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
hostname lab
echo "127.0.0.1 localhost lab" > /etc/hosts
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0

key=$(sed -n 's/.*hubgw\.key=\([^ ]*\).*/\1/p' /proc/cmdline)
mkdir -p -m 700 /root/.ssh
echo "ssh-ed25519 $key" > /root/.ssh/authorized_keys
cat > /run/sshd_config <<'END'
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxSessions 200
MaxStartups 200
Subsystem sftp internal-sftp
SetEnv PATH=/opt/hubgw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONPYCACHEPREFIX=/var/cache/pycache LANG=C.UTF-8 HUBGW_LAB=1
END
/usr/sbin/sshd -D -f /run/sshd_config &
[ -b /dev/vda ] && mkdir -p /var/lib/docker && mount -o noatime /dev/vda /var/lib/docker
echo "hubgw lab: ready"
while :; do wait; sleep infinity; done
