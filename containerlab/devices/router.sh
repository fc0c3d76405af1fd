#!/bin/bash
# The underlay's router: an address an interface, as ADDRESSES says (eth1=192.0.2.1/30 ...), and nothing but forwarding.
set -eu
for pair in $ADDRESSES; do ip addr add "${pair#*=}" dev "${pair%%=*}"; done
sysctl -qw net.ipv4.ip_forward=1
