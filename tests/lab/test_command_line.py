"""The verbs that look: on the machine itself, against the real agent, charon and kernel."""

import json

from tests.lab.topology import Lab


def _on_the_hub(lab: Lab, *words: str) -> str:
    """Runs a verb in the hub's own namespace, where its interfaces are."""
    done = lab.hub.node.run("python", "-m", "hubgw.cli", "--socket", str(lab.hub.socket), *words, check=False)
    return done.stdout + done.stderr


def test_effective_routes_are_those_of_the_hub(lab: Lab) -> None:
    routes = json.loads(lab.hub.run("effective-routes", "gw1/branch1", "--json").stdout)
    prefixes = {route["prefix"] for route in routes}
    assert {"10.1.0.0/24", "10.2.0.0/24", "10.50.0.0/24", "10.60.0.0/16"} <= prefixes
    assert all(route["hub"].endswith("/hub1") for route in routes)
    assert json.loads(lab.hub.run("effective-routes", "hub1", "--json").stdout) == routes


def test_init_finds_the_underlay_and_its_addresses(lab: Lab) -> None:
    said = _on_the_hub(lab, "init", "--gateway", "gw1")
    assert "interface: eth0" in said
    assert "198.51.100.10" in said
    assert "198.51.100.11" in said


def test_preflight_finds_what_the_hub_needs(lab: Lab) -> None:
    said = _on_the_hub(lab, "preflight", "--vici", str(lab.hub.charon.vici))
    for needed in ("xfrm", "vrf", "charon"):
        assert needed in said.lower(), said


def test_plan_says_what_would_change_and_changes_nothing(lab: Lab) -> None:
    before = lab.hub.show("route")
    text = "type: virtualWans\nname: wan1\nlocation: westeurope\nproperties: {allowBranchToBranchTraffic: false}\n"
    said = lab.hub.run("plan", "-f", "-", stdin=text).stdout
    assert "branch-to-branch closed in" in said
    assert lab.hub.show("route") == before
    refused = lab.hub.run("plan", "-f", "-", stdin=text.replace("allow", "alow"), check=False)
    assert refused.returncode == 1
    assert "allowBranchToBranchTraffic" in refused.stderr, "the nearest match is suggested"
