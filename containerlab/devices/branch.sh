#!/bin/bash
# A branch's router, by hand: ADDRESS on the underlay, LAN behind it, an xfrm interface for each of the hub's two instances, and
# equal-cost routes over both. A branch with BGP learns those instead: by DAEMON, frr or bird, which peers from PEERING.
set -eu
ip addr add "$ADDRESS" dev eth1
ip route add default via "$GATEWAY"
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.fib_multipath_hash_policy=1
ip link add lan type dummy
ip addr add "$LAN" dev lan
ip link set lan up
source=${LAN%/*}
for instance in 0 1; do
  ip link add "hub$instance" type xfrm dev eth1 if_id "1$instance"
  ip link set "hub$instance" mtu 1400 up
done
ip addr add "${PEERING:-$source}" peer 10.100.0.12/32 dev hub0
ip addr add "${PEERING:-$source}" peer 10.100.0.13/32 dev hub1
ip route add unreachable 10.0.0.0/8 metric 4000
case ${DAEMON:-} in
  frr) for daemon in mgmtd zebra bgpd; do "/usr/lib/frr/$daemon" --daemon; done ;;
  bird) bird ;;
  *) ip route add 10.0.0.0/8 src "$source" nexthop dev hub0 nexthop dev hub1 ;;
esac
