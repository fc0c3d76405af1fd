"""Compile depends on its arguments alone: not on the order of anything, and not on what else the store holds."""

import random
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from itertools import permutations
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubgw.agent.desired import numbered
from hubgw.compile.allocate import owners
from hubgw.compile.ike import compile_ike, compile_secret
from hubgw.compile.mtu import tunnel_mtu
from hubgw.compile.plan import compile_plan
from hubgw.compile.suites import suites
from hubgw.names import Secret
from hubgw.plan.ipsec import IkeConnection, IkeSecret
from hubgw.plan.kernel import Element, Group, Nexthop, Route, Rule, Tunnel, Tunnels, Vrf
from hubgw.plan.numbers import GROUPS, IF_IDS, RULES, SESSIONS, TABLES, VRF_MARKS, tunnel_interface
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import TunnelOf
from hubgw.resources.connection import Terms
from hubgw.resources.ipsec import IpsecPolicy
from hubgw.resources.site import Link
from tests.unit.compile.worlds import World, document, inventory_of, plan_of, worlds

TUNNEL = TunnelOf("hgt1", IF_IDS[1], "c", "s", "link1", 0, "198.51.100.10", "192.0.2.2")

POLICY = {
    "ipsecEncryption": "AES256",
    "ipsecIntegrity": "SHA256",
    "ikeEncryption": "AES256",
    "ikeIntegrity": "SHA384",
    "dhGroup": "ECP384",
    "pfsGroup": "None",
}

SIZES = {
    "aes256gcm16-ecp384": (8, 16, 4),
    "aes128-sha256": (16, 16, 16),
    "aes256-sha1-modp1024": (16, 12, 16),
    "3des-sha1": (8, 12, 8),
    "null-sha256": (0, 16, 4),
}
"""IV, ICV and block of ESP, in bytes."""


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same JSON with the keys of every mapping in another order."""
    if isinstance(value, Mapping):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_files_keys_and_numbers_makes_no_difference(world: World, chance: random.Random) -> None:
    plan, numbers = plan_of(world.inventory())
    documents = [shuffled(document, chance) for document in world.documents]
    chance.shuffle(documents)
    pairs = list(numbers.items())
    chance.shuffle(pairs)
    again, _ = plan_of(inventory_of(documents), dict(pairs))
    assert again == plan
    assert repr(again) == repr(plan)


@given(worlds())
def test_every_object_has_a_key_of_its_own_and_an_owner(world: World) -> None:
    inventory = world.inventory()
    plan, _ = plan_of(inventory)
    keys = [obj.key for obj in plan.objects]
    assert len(set(keys)) == len(keys)
    ids = {resource.id for resource in inventory.by_key.values()}
    assert plan.owners.keys() == set(keys)
    assert all(named and set(named) <= ids for named in plan.owners.values())


@given(worlds())
def test_names_and_numbers_are_ours(world: World) -> None:
    plan, _ = plan_of(world.inventory())
    for obj in plan.objects:
        match obj:
            case Vrf():
                assert obj.table in TABLES
            case Route():
                assert obj.table in TABLES or obj.table in SESSIONS
            case Rule():
                assert obj.priority in RULES
                assert obj.table in {0, obj.uid, TABLES.start + obj.fwmark - VRF_MARKS.start}
            case Speaker():
                assert obj.uid in SESSIONS
            case Tunnel(name, if_id):
                assert if_id in IF_IDS
                assert Nexthop(if_id, name) in plan.objects
                assert any(isinstance(one, IkeConnection) and one.if_id == if_id for one in plan.objects)
            case Group(tiers):
                members = [member for tier in tiers for member in tier]
                assert members and len(set(members)) == len(members)
                assert GROUPS[0] not in members


@given(worlds())
def test_a_tunnel_has_its_sites_others_for_siblings_and_no_one_elses(world: World) -> None:
    plan, _ = plan_of(world.inventory())
    vrfs = {obj.name: obj for obj in plan.objects if isinstance(obj, Vrf)}
    vrf_of = {obj.name: vrfs[obj.vrf] for obj in plan.objects if isinstance(obj, Tunnel)}
    pairs = {obj.item for obj in plan.objects if isinstance(obj, Element) and obj.set == "siblings"}
    assert pairs == {
        (one.name, other.name) for one, other in permutations(plan.tunnels, 2) if one.connection == other.connection
    }
    marks = {obj.item[0]: int(obj.value) for obj in plan.objects if isinstance(obj, Element) and obj.set == "vrf_mark"}
    tables = {obj.fwmark: obj.table for obj in plan.objects if isinstance(obj, Rule) and obj.fwmark in VRF_MARKS}
    assert {name: tables[mark] for name, mark in marks.items()} == {name: vrf.table for name, vrf in vrf_of.items()}


@given(worlds())
def test_a_session_has_all_that_keeps_it_on_its_own_tunnels(world: World) -> None:
    plan, _ = plan_of(world.inventory())
    objects = set(plan.objects)
    keys = {obj.key for obj in objects}
    speakers = {obj.name: obj for obj in objects if isinstance(obj, Speaker)}
    for peer in plan.peers:
        speaker = speakers[peer.speaker]
        own = {tunnel.nexthop for tunnel in plan.tunnels if tunnel.instance == peer.instance}
        assert set(peer.nexthops) <= own
        assert peer.local_address in speaker.addresses
        assert Rule(910, source=peer.local_address, uid=speaker.uid, table=speaker.uid) in objects
        host = IPv4Network(peer.address)
        assert Route(speaker.uid, host, Tunnels((peer.nexthops,))) in objects
        assert ("Route", peer.table, host, 0) in keys
        accepted = {
            (tunnel_interface(nexthop), str(peer.address), str(peer.local_address)) for nexthop in peer.nexthops
        }
        elements = {obj.item for obj in objects if isinstance(obj, Element) and obj.set == "bgp_peers"}
        assert accepted <= elements
        assert Element("hub_addresses", (speaker.vrf, str(peer.local_address))) in objects
        (neighbor,) = (obj for obj in objects if obj.key == ("Neighbor", peer.speaker, peer.address))
        assert isinstance(neighbor, Neighbor)
        assert neighbor.passive or peer.local_address == speaker.addresses[0]
    assert {peer.speaker for peer in plan.peers} == set(speakers)
    assert len({speaker.uid for speaker in speakers.values()}) == len(speakers)
    assert {obj.key[1:] for obj in objects if isinstance(obj, Neighbor)} == {
        (peer.speaker, peer.address) for peer in plan.peers
    }


@given(worlds())
def test_a_hub_has_a_route_table_and_everything_it_announces(world: World) -> None:
    inventory = world.inventory()
    plan, _ = plan_of(inventory)
    vrfs = {obj.table: obj.name for obj in plan.objects if isinstance(obj, Vrf)}
    assert {table.table: table.vrf for table in plan.route_tables} == vrfs
    for table in plan.route_tables:
        statics = {static.prefix for static in table.statics}
        peers = {IPv4Network(peer.address) for peer in plan.peers if peer.table == table.table}
        over_tunnels = {
            obj.prefix
            for obj in plan.objects
            if isinstance(obj, Route) and obj.table == table.table and isinstance(obj.via, Tunnels)
        }
        assert over_tunnels == statics | peers


@given(worlds(), worlds())
def test_resources_that_stay_keep_their_numbers(old: World, new: World) -> None:
    _, numbers = plan_of(old.inventory())
    _, later = plan_of(new.inventory(), numbers)
    assert numbers.items() <= later.items()
    for kind in ("vrf", "tunnel", "port"):
        given_ = [number for (one, _), number in later.items() if one == kind]
        assert len(set(given_)) == len(given_)


@given(worlds())
def test_a_machine_without_a_node_holds_nothing(world: World) -> None:
    plan = compile_plan(world.inventory(), None, {}, "digest", b"")
    assert (plan.objects, plan.tunnels) == ((), ())


@given(worlds())
def test_no_key_is_shown(world: World) -> None:
    assert "key-of-the-test" not in repr(plan_of(world.inventory())[0])


def test_a_hub_that_the_store_has_not_numbered_is_a_fault() -> None:
    inventory = inventory_of(
        [
            document("virtualWans", "wan1"),
            document("virtualHubs", "hub1", "westeurope", virtualWan="wan1", addressPrefix="10.200.0.0/24"),
            document("vpnGateways", "gw1", "westeurope", virtualHub="hub1"),
            document(
                "nodes",
                "node1",
                gatewayInstances=[
                    {"vpnGateway": "gw1", "instance": 0, "publicAddress": "198.51.100.10", "interface": "eth0"}
                ],
            ),
        ]
    )
    with pytest.raises(KeyError):
        compile_plan(inventory, inventory.nodes[0], {}, "digest", b"")
    assert owners(inventory) == {("vrf", inventory.hubs[0].key)}


def test_a_number_is_above_all_that_were_given() -> None:
    known = {("vrf", "b"): 7, ("tunnel", "b"): 2}
    assert numbered([("vrf", "c"), ("vrf", "a"), ("vrf", "b")], known) == known | {("vrf", "a"): 8, ("vrf", "c"): 9}


def terms(version: int = 2, timeout: int | None = None) -> Terms:
    link = Link("link1", IPv4Address("192.0.2.2"), "/l")
    return Terms(link, None, None, timeout, version, "Default", 0, None)


@pytest.mark.parametrize(("timeout", "delay"), [(None, 10), (16, 1), (20, 5), (10, 1), (3600, 10)])
def test_a_dead_branch_is_found_within_its_timeout(timeout: int | None, delay: int) -> None:
    own = suites(2, None, legacy=False, initiates=True)
    connection = compile_ike(TUNNEL, terms(timeout=timeout), own, local_id="a", remote_id="b", proof=None, mobike=False)
    assert (connection.dpd_delay, connection.dpd_timeout) == (delay, 0)
    assert compile_ike(
        TUNNEL, terms(1, timeout), own, local_id="a", remote_id="b", proof=None, mobike=False
    ).dpd_timeout == (timeout or 45)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("life_time", [300, 1200, 3600, 172_799])
def test_the_branch_has_time_to_rekey_first(version: int, life_time: int) -> None:
    policy = IpsecPolicy.model_validate(POLICY | {"saLifeTimeSeconds": life_time, "saDataSizeKilobytes": 1024})
    found = suites(version, policy, legacy=True, initiates=True)
    assert 0.9 * life_time <= found.rekey_time < found.life_time == life_time
    assert 0.9 * 2**20 <= found.rekey_bytes < found.life_bytes == 2**20


def test_every_suite_of_azures_has_a_proposal() -> None:
    words: set[str] = set()
    for field, info in IpsecPolicy.model_fields.items():
        for value in get_args(info.annotation):
            name = info.alias or field
            combined = {"ipsecEncryption": value, "ipsecIntegrity": value} if value.startswith("GCM") else {}
            policy = IpsecPolicy.model_validate(POLICY | {name: value} | (combined if "ipsec" in name else {}))
            for version in (1, 2):
                found = suites(version, policy, legacy=False, initiates=True)
                assert (len(found.ike), len(found.esp)) == (1, 1)
                words.update((*found.ike[0].split("-"), *found.esp[0].split("-")))
                assert 1300 < tunnel_mtu(1500, found.esp) < 1450
    assert words >= {"3des", "null", "aes192gcm16", "modp2048s256", "modp1024", "prfsha384", "sha1", "ecp256"}


def test_legacy_comes_last_and_only_where_it_is_allowed() -> None:
    for version in (1, 2):
        plain, more = (suites(version, None, legacy=legacy, initiates=False) for legacy in (False, True))
        assert more.ike[: len(plain.ike)] == plain.ike and more.esp[: len(plain.esp)] == plain.esp
        assert not any("sha1" in one.split("-") or "1024" in one for one in (*plain.ike, *plain.esp))
        assert "aes256-sha1-modp1024" in more.ike and "aes256-sha1" in more.esp
        # Combined modes are unknown to IKEv1's first phase.
        assert version == 2 or not any("gcm" in one or "prf" in one for one in more.ike)


def test_a_quick_mode_that_the_hub_starts_is_without_pfs() -> None:
    answered, started = (suites(1, None, legacy=True, initiates=initiates) for initiates in (False, True))
    assert started.esp == (
        "aes256gcm16",
        "aes256-sha256",
        "aes128gcm16",
        "aes128-sha256",
        "aes256-sha1",
        "aes128-sha1",
    )
    version_2 = set(suites(2, None, legacy=True, initiates=True).esp)
    assert version_2 - set(answered.esp) == {"aes256gcm16-ecp384-x25519-ecp256-modp2048-ke1_mlkem768"}
    assert version_2 > set(answered.esp) > set(started.esp)
    policy = IpsecPolicy.model_validate(POLICY | {"pfsGroup": "ECP384"})
    assert suites(1, policy, legacy=False, initiates=True).esp == ("aes256-sha256-ecp384",)


def test_the_id_of_a_key_changes_with_the_key_its_owner_and_the_store_alone() -> None:
    def id_(name: str, owner: str, key: str, store: bytes) -> str:
        return compile_secret(name, owner, Secret(key), store).id

    one = id_("hgt1", "b", "x" * 16, b"store")
    assert one == id_("hgt1", "b", "x" * 16, b"store")
    others = {
        id_("hgt1", "b", "y" * 16, b"store"),
        id_("hgt1", "c", "x" * 16, b"store"),
        id_("hgt1", "b", "x" * 16, b"other"),
        id_("hgt2", "b", "x" * 16, b"store"),
    }
    assert len(others | {one}) == 5
    assert one.startswith("hgt1-") and "x" * 4 not in one


def test_a_key_is_compared_by_its_id() -> None:
    assert IkeSecret("hgt1-a", (), Secret("")) == IkeSecret("hgt1-a", ("x",), Secret("y"))


@pytest.mark.parametrize("underlay", range(1280, 1520))
def test_a_full_inner_packet_fits_the_underlay_with_each_suite(underlay: int) -> None:
    def outer(inner: int, iv: int, icv: int, block: int) -> int:
        return 20 + 8 + 8 + iv + -((inner + 2) // -block) * block + icv

    for proposal, sizes in SIZES.items():
        mtu = tunnel_mtu(underlay, [proposal])
        assert outer(mtu, *sizes) <= underlay < outer(mtu + 1, *sizes)
        assert tunnel_mtu(underlay) <= mtu
    assert tunnel_mtu(underlay, SIZES) == tunnel_mtu(underlay)


def test_an_ikev1_branch_that_alone_starts_makes_each_next_child_sa() -> None:
    # A quick mode of the hub's would have PFS, as one of its proposals has, and a branch without would refuse it.
    only_answers = suites(1, None, legacy=False, initiates=False)
    assert {"aes256-sha256", "aes256-sha256-ecp384-x25519-ecp256-modp2048"} <= set(only_answers.esp)
    assert (only_answers.rekey_time, only_answers.life_time) == (0, 28_800)
    for other in (suites(1, None, legacy=False, initiates=True), suites(2, None, legacy=False, initiates=False)):
        assert 0 < other.rekey_time < other.life_time == 3_600
