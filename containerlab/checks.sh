# What the topologies' smoke.sh share; sourced, with LAB set to the topology's name. Each check prints PASS or FAIL, and `done_` the verdict.
failed=0
on() { docker exec "clab-$LAB-$1" "${@:2}"; }
verdict() { if [ "$1" = 0 ]; then echo "PASS $2"; else echo "FAIL $2"; failed=$((failed + 1)); fi; }

# reaches WHAT NODE ADDRESS [SOURCE]: pings until one answer comes, for at most 90 s.
reaches() {
  local code=0
  on "$2" timeout 90 bash -c "until ping -q -n -c 1 -W 1 ${4:+-I $4} $3 >/dev/null; do :; done" || code=$?
  verdict "$code" "$1"
}

# never WHAT NODE ADDRESS [SOURCE]: three pings, and no answer.
never() {
  local code=0
  ! on "$2" ping -q -n -c 3 -i 0.3 -W 1 ${4:+-I "$4"} "$3" >/dev/null || code=1
  verdict "$code" "$1"
}

# learns WHAT NODE PREFIX INTERFACE...: waits, for at most 90 s, for a learned route that leads over these tunnels and no other.
learns() {
  local code=0 wanted="${*:4}"
  on "$2" timeout 90 bash -c "until [ \"\$(ip route show $3 | grep -o 'hub[01]' | sort | xargs)\" = '$wanted' ]; do sleep 0.2; done" || code=$?
  verdict "$code" "$1"
}

# apply FILE...: waits for the agent's socket, and gives it the resources.
apply() {
  on hub timeout 90 bash -c 'until [ -S /run/hubgw/agent.sock ]; do sleep 0.2; done'
  on hub hubgw apply -f "$@"
}

# login USER: has the hub make a profile, and unpacks it at the user's own machine, where nothing else is configured; then logs in.
login() {
  local code=0
  on hub sh -c "cd /tmp && rm -f $1.tar && hubgw profile $1@example.com --platform linux -o $1.tar"
  docker exec "clab-$LAB-hub" cat "/tmp/$1.tar" | docker exec -i "clab-$LAB-$1" tar -xpf - -C /etc/swanctl
  on "$1" sh -c 'swanctl --load-all && swanctl --initiate --child users --timeout 60' || code=$?
  verdict "$code" "$1 logs in with the profile and nothing else"
}

# address USER: the address that the hub gave.
address() { on "$1" ip -4 -o address show to 10.99.0.0/24 | awk '{print $4}' | cut -d/ -f1; }

# show NODE ADDRESS WHAT...: with SHOW set, as in the demo, what the hub has, WHAT too, and a live probe.
show() {
  [ -n "${SHOW:-}" ] || return 0
  # All at once: the start of each takes seconds where the processor is emulated.
  on hub bash -c 'cd "$(mktemp -d)"
    for what; do { echo; echo "hubgw show $what"; hubgw show $what; } > "$what" & done; wait
    for what; do cat "$what"; done' show connection tunnel route "${@:3}"
  echo; on "$1" ping -n -c 5 -i 0.3 "$2"; echo
}

done_() { [ "$failed" = 0 ] || { echo "$failed failed"; exit 1; }; }
