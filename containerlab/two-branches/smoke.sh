#!/bin/bash
# Gives the deployed hub its resources, and shows that branches and the VNet reach each other.
set -eu
cd "$(dirname "$0")"
LAB=two-branches
. ../checks.sh
apply /resources/hub.yaml
reaches "VNet to branch 1" vnet 10.1.0.1
reaches "VNet to branch 2" vnet 10.2.0.1
reaches "branch 1 to the VNet" br1 10.50.0.4 10.1.0.1
reaches "branch 1 to branch 2" br1 10.2.0.1 10.1.0.1
show vnet 10.1.0.1
done_
