#!/bin/bash
# docker-on-host.sh ROOT DISK REPO COMMAND...: runs COMMAND with a Docker of its own, on this machine's kernel and from inside the tree
# ROOT (which is not written to), with DISK as Docker's data. Wants a mount and a pid namespace of its own: unshare --mount --pid --fork.
set -eu
R=$(mktemp -d)
mount -t tmpfs tmpfs "$R"
mkdir "$R"/{upper,work,root}
mount -t overlay -o "lowerdir=$1,upperdir=$R/upper,workdir=$R/work" overlay "$R/root"
R=$R/root
mount -t proc proc "$R/proc"
for name in sys dev; do mount --rbind "/$name" "$R/$name"; done
for name in run tmp; do mount -t tmpfs tmpfs "$R/$name"; done
mkdir -p "$R/var/lib/docker"
mount -o loop,noatime,discard "$2" "$R/var/lib/docker"
mount --bind "$3" "$R/src"
cp /etc/resolv.conf "$R/etc/resolv.conf"
[ -z "${BASE:-}" ] || { mkdir "$R/run/base"; mount --bind "$BASE" "$R/run/base"; }
shift 3
exec chroot "$R" bash -euc '
  dockerd --iptables=false --ip6tables=false --bridge=none --log-level=warn & daemon=$!
  for n in $(seq 300); do
    docker version >/dev/null 2>&1 && break
    kill -0 $daemon 2>/dev/null || exit 1
    sleep 0.1
  done
  cd /src
  code=0; "$@" || code=$?
  kill $daemon; wait $daemon || true
  exit $code
' docker-on-host "$@"
