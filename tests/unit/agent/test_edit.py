"""What an apply and a delete put and delete, and how they say it."""

import json
from collections.abc import Mapping

import pytest

from hubgw.agent.edit import Edit, Resources, apply_, delete, find, random_key, shared_keys
from hubgw.agent.service import Refusal, Refused
from hubgw.agent.statuses import Json

HEAD = "/subscriptions/0/resourceGroups/hubgw/providers"


def made(path: str, properties: Mapping[str, object] = {}, provider: str = "Microsoft.Network") -> tuple[str, Json]:
    id_ = f"{HEAD}/{provider}/{path}"
    return id_.lower(), {"id": id_, "name": path.rpartition("/")[2], "properties": dict(properties)}


def ref(path: str) -> dict[str, str]:
    return {"id": f"{HEAD}/Microsoft.Network/{path}"}


def connection(name: str = "c1", **properties: object) -> tuple[str, Json]:
    return made(f"vpnGateways/gw1/vpnConnections/{name}", {"remoteVpnSite": ref("vpnSites/branch1"), **properties})


WAN = made("virtualWans/wan1", {"allowBranchToBranchTraffic": True})
HUB = made("virtualHubs/hub1", {"virtualWan": ref("virtualWans/wan1")})
GATEWAY = made("vpnGateways/gw1", {"virtualHub": ref("virtualHubs/hub1")})
SITE = made(
    "vpnSites/branch1",
    {
        "virtualWan": ref("virtualWans/wan1"),
        "addressSpace": {"addressPrefixes": ["10.1.0.0/24"]},
        "vpnSiteLinks": [
            {**ref("vpnSites/branch1/vpnSiteLinks/l1"), "name": "l1", "properties": {"ipAddress": "192.0.2.1"}}
        ],
    },
)
NODE = made(
    "nodes/n1",
    {"gatewayInstances": [{"vpnGateway": ref("vpnGateways/gw1"), "instance": 0}], "virtualNetworks": []},
    "Hubgw.Network",
)
KEY = "0123456789abcdef"
STORED: Resources = dict([WAN, HUB, GATEWAY, SITE, connection(sharedKey=KEY), NODE])


def the_key() -> str:
    return "made-by-the-test"


def test_a_first_apply_creates_and_makes_keys() -> None:
    edit = apply_({}, dict([WAN, connection()]), prune=False, make_key=the_key)
    assert edit.changes == ("virtualWans/wan1: created", "vpnConnections/gw1/c1: created")
    (key, _) = connection()
    assert shared_keys(edit.puts[key]) == {"": "made-by-the-test"}
    assert edit.desired == edit.puts
    assert edit.deletes == ()


def test_a_random_key_has_32_letters_and_digits() -> None:
    keys = {random_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(len(key) == 32 and key.isalnum() and key.isascii() for key in keys)


def test_a_password_left_out_keeps_the_stored_one_and_is_never_said() -> None:
    def user(**properties: object) -> tuple[str, Json]:
        return made("vpnUsers/alice", {"vpnServerConfiguration": ref("vpnServerConfigurations/s"), **properties})

    stored: Resources = dict([user(password="example-password-1")])
    kept = apply_(stored, dict([user(userName="al")]), prune=False, make_key=the_key)
    assert dict(kept.puts) == dict([user(userName="al", password="example-password-1")])
    assert kept.changes == ("vpnUsers/alice: userName: none -> al",)
    changed = apply_(stored, dict([user(password="example-password-2")]), prune=False)
    assert changed.changes == ("vpnUsers/alice: password: changed",)
    # None is made: it would be shown to nobody.
    assert dict(apply_({}, dict([user()]), prune=False, make_key=the_key).puts) == dict([user()])


def test_the_secret_of_a_radius_server_is_kept_with_its_address_and_never_said() -> None:
    def config(*servers: dict[str, object]) -> tuple[str, Json]:
        return made("vpnServerConfigurations/s", {"radiusServers": list(servers)})

    def at(address: str, **more: object) -> dict[str, object]:
        return {"radiusServerAddress": address, "radiusServerScore": 30} | more

    first = at("192.0.2.1", radiusServerSecret="example-secret-1")
    stored: Resources = dict([config(first)])
    edit = apply_(stored, dict([config(at("192.0.2.2"), at("192.0.2.1", radiusServerScore=1))]), prune=False)
    kept = at("192.0.2.1", radiusServerScore=1, radiusServerSecret="example-secret-1")
    assert dict(edit.puts) == dict([config(at("192.0.2.2"), kept)])
    changed = at("192.0.2.1", radiusServerSecret="example-secret-2")
    said = apply_(stored, dict([config(changed)]), prune=False).changes
    assert said == ("vpnServerConfigurations/s: radiusServers.192.0.2.1.radiusServerSecret: changed",)


def test_a_key_left_out_keeps_the_stored_one() -> None:
    edit = apply_(STORED, dict([connection(routingWeight=3)]), prune=False, make_key=the_key)
    (body,) = edit.puts.values()
    assert shared_keys(body) == {"": KEY}
    assert edit.changes == ("vpnConnections/gw1/c1: routingWeight: none -> 3",)


def test_a_changed_key_is_never_shown() -> None:
    edit = apply_(STORED, dict([connection(sharedKey="another-key-of-16")]), prune=False)
    assert edit.changes == ("vpnConnections/gw1/c1: sharedKey: changed",)


def test_keys_of_links() -> None:
    def links(**keys: str | None) -> list[dict[str, object]]:
        return [{"name": name, "properties": {"sharedKey": key} if key else {}} for name, key in keys.items()]

    key, body = connection(vpnLinkConnections=links(a="a" * 16, b="b" * 16))
    first = apply_({}, {key: body}, prune=False, make_key=the_key)
    assert shared_keys(first.puts[key]) == {"a": "a" * 16, "b": "b" * 16}
    again = apply_(first.desired, dict([connection(vpnLinkConnections=links(a=None, b=None))]), prune=False)
    assert again.puts == {}
    third = apply_(
        first.desired, dict([connection(vpnLinkConnections=links(a=None, c=None))]), prune=False, make_key=the_key
    )
    assert shared_keys(third.puts[key]) == {"": "made-by-the-test", "a": "a" * 16}
    assert "vpnConnections/gw1/c1: vpnLinkConnections.b.sharedKey: removed" in third.changes


def test_the_same_again_changes_nothing() -> None:
    body = json.loads(json.dumps(SITE[1]))
    body["properties"]["addressSpace"]["addressPrefixes"] = ("10.1.0.0/24",)
    edit = apply_(STORED, {SITE[0]: body, **dict([connection()])}, prune=False)
    assert (edit.puts, edit.deletes, edit.changes) == ({}, (), ())
    assert edit.desired == STORED


def test_a_change_names_field_and_both_values() -> None:
    body = json.loads(json.dumps(SITE[1]).replace("10.1.0.0/24", "10.1.0.0/23").replace("192.0.2.1", "192.0.2.9"))
    edit = apply_(STORED, {SITE[0]: body}, prune=False)
    assert edit.changes == (
        "vpnSites/branch1: addressSpace.addressPrefixes: 10.1.0.0/24 -> 10.1.0.0/23",
        "vpnSites/branch1: vpnSiteLinks.l1.ipAddress: 192.0.2.1 -> 192.0.2.9",
    )


def test_a_long_list_tells_what_came_and_went() -> None:
    def site(*octets: int) -> tuple[str, Json]:
        return made("vpnSites/big", {"addressSpace": {"addressPrefixes": [f"10.{n}.0.0/24" for n in octets]}})

    stored = dict([site(1, 2, 3, 4, 5)])
    added = apply_(stored, dict([site(1, 2, 4, 5, 6, 7)]), prune=False)
    path = "vpnSites/big: addressSpace.addressPrefixes"
    assert added.changes == (f"{path}: added 10.6.0.0/24, 10.7.0.0/24; removed 10.3.0.0/24",)
    assert apply_(stored, dict([site(5, 4, 3, 2, 1)]), prune=False).changes == (f"{path}: in another order",)


def test_references_and_flags_in_words() -> None:
    (key, wan), (hub_key, hub) = WAN, HUB
    loaded = {
        key: {**wan, "properties": {"allowBranchToBranchTraffic": False}, "tags": {"team": "net"}},
        hub_key: {**hub, "properties": {"virtualWan": ref("virtualWans/wan2")}},
    }
    assert apply_(STORED, loaded, prune=False).changes == (
        "virtualHubs/hub1: virtualWan: virtualWans/wan1 -> virtualWans/wan2",
        "virtualWans/wan1: allowBranchToBranchTraffic: true -> false",
        "virtualWans/wan1: tags.team: none -> net",
    )


def test_only_prune_deletes() -> None:
    loaded = dict([WAN, HUB, GATEWAY])
    assert apply_(STORED, loaded, prune=False).deletes == ()
    edit = apply_(STORED, loaded, prune=True)
    assert edit.pruned == ("vpnConnections/gw1/c1", "vpnSites/branch1")
    assert edit.changes == ("vpnConnections/gw1/c1: deleted", "vpnSites/branch1: deleted")
    assert set(edit.desired) == {*loaded, NODE[0]}


def test_prune_takes_a_node_only_for_another_node() -> None:
    other = made("nodes/n2", {}, "Hubgw.Network")
    assert NODE[0] in apply_(STORED, dict([WAN, other]), prune=True).deletes


def test_delete_of_what_is_referred_to_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        delete(STORED, ["vpnSites/branch1", "vpnGateways/gw1"])
    assert refused.value.why is Refusal.IN_USE
    assert refused.value.problems == (
        "vpnGateways/gw1: is referred to by nodes/n1; delete that first, or use --cascade",
        "vpnGateways/gw1: is referred to by vpnConnections/gw1/c1; delete that first, or use --cascade",
        "vpnSites/branch1: is referred to by vpnConnections/gw1/c1; delete that first, or use --cascade",
    )


def test_delete_of_a_site_with_its_connection() -> None:
    edit = delete(STORED, ["vpnSites/branch1", "vpnConnections/c1"])
    assert edit.changes == ("vpnConnections/gw1/c1: deleted", "vpnSites/branch1: deleted")


def test_delete_takes_what_refers_to_it_along() -> None:
    edit = delete(STORED, ["virtualHubs/HUB1"], cascade=True)
    assert edit.changes == (
        "nodes/n1: gatewayInstances: (vpnGateway vpnGateways/gw1 instance 0) -> none",
        "virtualHubs/hub1: deleted",
        "vpnConnections/gw1/c1: deleted",
        "vpnGateways/gw1: deleted",
    )
    assert set(edit.desired) == {WAN[0], SITE[0], NODE[0]}
    assert edit.desired[NODE[0]]["properties"] == {"gatewayInstances": [], "virtualNetworks": []}


def test_delete_everything() -> None:
    edit = delete(STORED, [], everything=True)
    assert (edit.desired, len(edit.deletes)) == ({}, len(STORED))


def test_delete_by_files_skips_what_is_not_there() -> None:
    assert delete(STORED, [], ["absent"]).changes == ()
    assert delete(STORED, [], [connection()[0]]).changes == ("vpnConnections/gw1/c1: deleted",)


@pytest.mark.parametrize(
    "name",
    [
        "vpnConnections/c1",
        "vpnconnections/GW1/c1",
        "vpnGateways/gw1/vpnConnections/c1",
        "Microsoft.Network/vpnConnections/gw1/c1",
        connection()[1]["id"],
    ],
)
def test_ways_to_name_a_child(name: str) -> None:
    assert find(STORED, name) == connection()[0]


def test_names_that_do_not_say_which() -> None:
    key = connection()[0].replace("gw1", "gw2")
    with pytest.raises(Refused) as refused:
        delete({**STORED, key: {"id": key}}, ["vpnSites/nope", "vpnConnections/c1"])
    assert refused.value.why is Refusal.NOT_FOUND
    absent, several = refused.value.problems
    assert (
        absent == "vpnSites/nope: there is no such resource; name it by its id, or as type/name like vpnSites/branch1"
    )
    assert several.startswith("vpnConnections/c1: 2 resources have this name: /subscriptions/0/")


# --- passwords of BGP sessions

PASSWORD = "example-key-of-the-session"
LINK = "vpnSites/branch1/vpnSiteLinks/l1"


def settings(of: str = LINK, **properties: object) -> tuple[str, Json]:
    return made("settings/s1", {"resource": ref(of), **properties}, "Hubgw.Network")


WITH_PASSWORD: Resources = {**STORED, **dict([settings(bgpPassword=PASSWORD)])}


def password_of(edit: Edit) -> object:
    properties = edit.desired[settings()[0]]["properties"]
    assert isinstance(properties, Mapping)
    return properties.get("bgpPassword")


def test_a_password_left_out_keeps_the_stored_one() -> None:
    edit = apply_(WITH_PASSWORD, dict([settings(bgpHoldTime=30)]), prune=False)
    assert (password_of(edit), edit.changes) == (PASSWORD, ("settings/s1: bgpHoldTime: none -> 30",))
    assert apply_(WITH_PASSWORD, dict([settings()]), prune=False).changes == ()


def test_a_password_is_not_made() -> None:
    assert password_of(apply_(STORED, dict([settings()]), prune=False, make_key=the_key)) is None


def test_a_password_that_changes_is_never_shown() -> None:
    another = apply_(WITH_PASSWORD, dict([settings(bgpPassword="another-key")]), prune=False)
    assert (password_of(another), another.changes) == ("another-key", ("settings/s1: bgpPassword: changed",))
    without = {**STORED, **dict([settings(bgpHoldTime=30)])}
    first = apply_(without, dict([settings(bgpHoldTime=30, bgpPassword=PASSWORD)]), prune=False)
    assert first.changes == ("settings/s1: bgpPassword: set",)
    assert apply_({}, dict([settings(bgpPassword=PASSWORD)]), prune=False).changes == ("settings/s1: created",)
    assert delete(WITH_PASSWORD, ["settings/s1"]).changes == ("settings/s1: deleted",)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("vpnSites/branch1/vpnSiteLinks/l2", "vpnSiteLinks/branch1/l2"),
        ("vpnSites/branch1", "vpnSites/branch1"),
        ("vpnSites/branch2/vpnSiteLinks/l1", "vpnSiteLinks/branch2/l1"),
    ],
)
def test_a_password_does_not_move_to_another_session(of: str, words: str) -> None:
    edit = apply_(WITH_PASSWORD, dict([settings(of)]), prune=False)
    assert password_of(edit) is None
    assert edit.changes == (
        f"settings/s1: resource: vpnSiteLinks/branch1/l1 -> {words}",
        "settings/s1: bgpPassword: removed",
    )
    given = apply_(WITH_PASSWORD, dict([settings(of, bgpPassword="another-key")]), prune=False)
    assert password_of(given) == "another-key"


def test_a_password_stays_where_the_resource_is_written_in_other_letters() -> None:
    key, body = settings()
    written = {**body, "properties": {"resource": {"id": f"{HEAD}/microsoft.network/VPNSITES/Branch1/vpnsitelinks/L1"}}}
    assert password_of(apply_(WITH_PASSWORD, {key: written}, prune=False)) == PASSWORD


@pytest.mark.parametrize("group", ["settings", "vpnConnections"])
def test_a_resource_group_may_have_the_name_of_a_type(group: str) -> None:
    def moved(one: tuple[str, Json]) -> tuple[str, Json]:
        text = json.dumps(one).replace("resourceGroups/hubgw", f"resourceGroups/{group}")
        key, body = json.loads(text)
        return key.replace("resourcegroups/hubgw", f"resourcegroups/{group.lower()}"), body

    stored = dict([moved(SITE), moved(connection(sharedKey=KEY)), moved(settings(bgpPassword=PASSWORD))])
    loaded = dict([moved(SITE), moved(connection(routingWeight=3)), moved(settings())])
    edit = apply_(stored, loaded, prune=False, make_key=the_key)
    assert edit.changes == ("vpnConnections/gw1/c1: routingWeight: none -> 3",)
    assert shared_keys(edit.desired[moved(connection())[0]]) == {"": KEY}
