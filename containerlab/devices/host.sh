#!/bin/bash
# A host: ADDRESS on eth1, and all else by GATEWAY.
set -eu
ip addr add "$ADDRESS" dev eth1
ip route add default via "$GATEWAY"
