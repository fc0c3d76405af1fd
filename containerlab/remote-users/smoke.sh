#!/bin/bash
# Gives the deployed hub its resources and each user a profile, and shows what they reach; a revoked user reaches nothing.
set -eu
cd "$(dirname "$0")"
LAB=remote-users
. ../checks.sh

# login USER: makes a profile at the hub, and unpacks it at the user's own machine: nothing else is configured there.
login() {
  local code=0
  on hub sh -c "cd /tmp && rm -f $1.tar && hubgw profile $1@example.com --platform linux -o $1.tar"
  docker exec "clab-$LAB-hub" cat "/tmp/$1.tar" | docker exec -i "clab-$LAB-$1" tar -xpf - -C /etc/swanctl
  on "$1" sh -c 'swanctl --load-all && swanctl --initiate --child users --timeout 60' || code=$?
  verdict "$code" "$1 logs in with the profile and nothing else"
}

# address USER: the address that the hub gave.
address() { on "$1" ip -4 -o address show to 10.99.0.0/24 | awk '{print $4}' | cut -d/ -f1; }

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
