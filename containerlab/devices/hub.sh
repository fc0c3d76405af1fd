#!/bin/bash
# The gateway machine before hubgw comes: the addresses of its gateway instances on eth1, and the way to the underlay.
set -eu
for address in $ADDRESSES; do ip addr add "$address" dev eth1; done
ip route add default via "$GATEWAY"
