#!/bin/bash
# The underlay's router: an address an interface, as ADDRESSES says (eth1=192.0.2.1/30 ...), and nothing but forwarding. A home's
# has a way out too, GATEWAY, and one address for all behind it, that of MASQUERADE.
set -eu
for pair in $ADDRESSES; do ip addr add "${pair#*=}" dev "${pair%%=*}"; done
sysctl -qw net.ipv4.ip_forward=1
[ -z "${GATEWAY:-}" ] || ip route add default via "$GATEWAY"
[ -z "${MASQUERADE:-}" ] || nft "table ip home { chain out { type nat hook postrouting priority srcnat; oifname $MASQUERADE masquerade; }; }"
