#!/bin/bash
# Gives the deployed hub its resources; each WAN reaches its own, and the same address never answers for the other WAN.
set -eu
cd "$(dirname "$0")"
LAB=two-wans
. ../checks.sh
apply /resources/hub.yaml
# Whose answer it was is told by a marker that only one WAN's host has.
on vnet1 ip addr add 10.50.0.101/24 dev eth1
on vnet2 ip addr add 10.50.0.102/24 dev eth1
reaches "WAN 1: branch 1 to its VNet" br1 10.50.0.101 10.1.0.1
reaches "WAN 2: branch 3 to its VNet, same prefixes" br3 10.50.0.102 10.1.0.1
reaches "WAN 1: branch 1 to branch 2" br1 10.2.0.1 10.1.0.1
reaches "WAN 2: branch 3 to branch 4" br3 10.2.0.1 10.1.0.1
never "WAN 1 does not reach the marker of WAN 2" br1 10.50.0.102 10.1.0.1
never "WAN 2 does not reach the marker of WAN 1" br3 10.50.0.101 10.1.0.1
show vnet1 10.1.0.1
done_
