"""Edits of real resources: loaded from YAML, stored, read back, and applied again."""

from pathlib import Path

from hubgw.agent.edit import Resources, apply_, delete, shared_keys
from hubgw.resources.load import load
from hubgw.resources.parse import parse
from hubgw.resources.problem import Problem
from hubgw.resources.validate import validate
from hubgw.store.sqlite import SqliteStore

FILE = b"""
{type: virtualWans, name: wan1, location: westeurope, properties: {}}
---
{type: virtualHubs, name: hub1, location: westeurope, properties: {virtualWan: wan1, addressPrefix: 10.100.0.0/24}}
---
{type: vpnGateways, name: gw1, location: westeurope, properties: {virtualHub: hub1}}
---
type: vpnSites
name: branch1
location: westeurope
properties:
  virtualWan: wan1
  addressSpace: {addressPrefixes: [10.1.0.0/24]}
  vpnSiteLinks: [{name: l1, properties: {ipAddress: 192.0.2.2}}, {name: l2, properties: {ipAddress: 192.0.2.3}}]
---
type: vpnConnections
name: gw1/branch1
properties:
  remoteVpnSite: branch1
  vpnLinkConnections:
    - {name: c1, properties: {vpnSiteLink: l1, sharedKey: a-key-of-the-first-link}}
    - {name: c2, properties: {vpnSiteLink: l2}}
---
type: nodes
name: n1
properties:
  gatewayInstances: [{vpnGateway: gw1, instance: 0, publicAddress: 198.51.100.10, interface: eth0}]
---
{type: settings, name: s1, properties: {resource: vpnSites/branch1/vpnSiteLinks/l1, remoteIdentity: branch.example.net}}
"""


def problems_of(stored: Resources) -> tuple[Problem, ...]:
    parsed = [parse(body) for body in stored.values()]
    assert [one.findings for one in parsed if one.findings] == []
    return validate([one.resource for one in parsed if one.resource], lambda key, path: ("(stored)", 0))


def loaded(text: bytes) -> Resources:
    found = load([("wan.yaml", text)])
    assert found.problems == ()
    return {one.key: one.to_json(secrets=True) for one in found.resources}


def test_applied_stored_and_applied_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    first = apply_({}, loaded(FILE), prune=False)
    assert len(first.changes) == 7
    assert store.commit(0, first.puts, first.deletes) == 1
    stored = store.read().resources
    again = apply_(stored, loaded(FILE), prune=True)
    assert (again.puts, again.deletes, again.changes) == ({}, (), ())
    assert store.commit(1, again.puts, again.deletes) == 1
    connection = next(body for key, body in stored.items() if "/vpnconnections/" in key)
    keys = shared_keys(connection)
    assert (set(keys), keys["c1"], len(keys[""])) == ({"", "c1"}, "a-key-of-the-first-link", 32)
    store.close()


def test_what_is_desired_is_valid() -> None:
    stored = apply_({}, loaded(FILE), prune=False).desired
    assert problems_of(stored) == ()


def test_a_site_goes_with_its_connection_and_settings() -> None:
    stored = apply_({}, loaded(FILE), prune=False).desired
    edit = delete(stored, ["vpnSites/branch1"], cascade=True)
    assert edit.changes == ("settings/s1: deleted", "vpnConnections/gw1/branch1: deleted", "vpnSites/branch1: deleted")
    assert problems_of(edit.desired) == ()


def test_a_gateway_goes_out_of_the_node() -> None:
    stored = apply_({}, loaded(FILE), prune=False).desired
    edit = delete(stored, ["vpnGateways/gw1"], cascade=True)
    assert edit.changes[0].startswith("nodes/n1: gatewayInstances: (instance 0 ")
    assert edit.changes[1:] == ("vpnConnections/gw1/branch1: deleted", "vpnGateways/gw1: deleted")
    assert problems_of(edit.desired) == ()
