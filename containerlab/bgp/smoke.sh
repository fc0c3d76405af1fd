#!/bin/bash
# Gives the deployed hub its resources; branches learn each other's prefixes, traffic follows, and moves when a tunnel dies.
set -eu
cd "$(dirname "$0")"
LAB=bgp
. ../checks.sh
apply /resources/hub.yaml
learns "branch 1 (FRR) learns branch 2's prefix over both tunnels" br1 10.2.0.0/24 hub0 hub1
learns "branch 1 (FRR) learns the static branch's prefix" br1 10.3.0.0/24 hub0 hub1
learns "branch 2 (BIRD) learns branch 1's prefix over both tunnels" br2 10.1.0.0/24 hub0 hub1
learns "branch 2 (BIRD) learns the VNet's prefix" br2 10.50.0.0/24 hub0 hub1
reaches "branch 1 to branch 2" br1 10.2.0.1 10.1.0.1
reaches "branch 1 to the static branch" br1 10.3.0.1 10.1.0.1
reaches "VNet to branch 1" vnet 10.1.0.1
reaches "VNet to branch 2" vnet 10.2.0.1
login alice
learns "branch 1 (FRR) learns where users are" br1 10.99.0.0/24 hub0 hub1
reaches "alice, a user, to the VNet" alice 10.50.0.4 "$(address alice)"
reaches "alice to branch 1" alice 10.1.0.1 "$(address alice)"
show vnet 10.1.0.1 "bgp peers" "bgp learned" sessions
# It takes the hold time of 20 s, which a demo does not wait for.
if [ -z "${SHOW:-}" ]; then
  for pair in "from 192.0.2.2 to 198.51.100.10" "from 198.51.100.10 to 192.0.2.2"; do on isp ip rule add $pair blackhole; done
  learns "the first tunnel of branch 1 is dead, and the second alone is used" br1 10.2.0.0/24 hub1
  reaches "branch 1 to branch 2 over the second" br1 10.2.0.1 10.1.0.1
  reaches "VNet to branch 1 over the second" vnet 10.1.0.1
  for pair in "from 192.0.2.2 to 198.51.100.10" "from 198.51.100.10 to 192.0.2.2"; do on isp ip rule del $pair blackhole; done
  learns "both tunnels are used again" br1 10.2.0.0/24 hub0 hub1
fi
done_
