#!/bin/bash
# Gives the deployed hub its resources and each user a profile, and shows what they reach; a revoked user reaches nothing.
set -eu
cd "$(dirname "$0")"
LAB=remote-users
. ../checks.sh

apply /resources/hub.yaml
login alice
login bob
alice=$(address alice) bob=$(address bob)
reaches "alice to the VNet" alice 10.50.0.4 "$alice"
reaches "bob, behind NAT, to the VNet" bob 10.50.0.4 "$bob"
reaches "alice to branch 1" alice 10.1.0.1 "$alice"
reaches "branch 1 to bob" br1 "$bob" 10.1.0.1
reaches "alice to bob" alice "$bob" "$alice"
show vnet "$alice" sessions
if [ -z "${SHOW:-}" ]; then # the demo keeps both
  on hub hubgw user revoke bob@example.com --yes
  never "bob, revoked, to the VNet" bob 10.50.0.4 "$bob"
fi
reaches "alice still to the VNet" alice 10.50.0.4 "$alice"
done_
