"""An object of ours that an operator deletes is back within 2 s, and told; what nobody changed is not written again."""

import pytest

from tests.lab.topology import Lab
from tests.lab.vici_proxy import between
from tests.lab.waiting import wait_for

REPAIRED = 2.0  # seconds


def _deletions(lab: Lab) -> dict[str, tuple[list[str], str]]:
    """What an operator types, and where it shows that it is gone."""
    tunnel, route = lab.hub.tunnel("branch1", 0), lab.hub.show("route", "branch1")[0]
    name, vrf, table = tunnel["name"], route["vrf"], route["table"]
    number = 100_000_000 + int(name.removeprefix("hgt"))
    return {
        "route": ([f"ip route del 10.1.0.0/24 table {table}"], f"ip route show table {table} 10.1.0.0/24"),
        "nexthop": ([f"ip nexthop del id {number}"], f"ip nexthop show id {number}"),
        "link": ([f"ip link del {name}"], f"ip link show {name}"),
        "vrf": ([f"ip link del {vrf}"], f"ip -d link show {vrf}"),
        "nftables": (["nft delete table inet hubgw"], "nft list table inet hubgw"),
    }


@pytest.mark.parametrize("kind", ["route", "nexthop", "link", "vrf", "nftables"])
def test_what_an_operator_deletes_is_back(lab: Lab, kind: str) -> None:
    node = lab.hub.node
    commands, shown = _deletions(lab)[kind]
    before = node.run(*shown.split()).stdout
    events = len(_repairs(lab))
    for command in commands:
        node.run(*command.split())

    def back() -> bool:
        now = node.run(*shown.split(), check=False)
        return now.returncode == 0 and now.stdout.split()[1:3] == before.split()[1:3]

    wait_for(f"the {kind} is back", back, REPAIRED)
    wait_for("and told", lambda: len(_repairs(lab)) > events, 10)
    lab.hub.wait_connected(seconds=60)


def test_a_connection_that_is_unloaded_from_charon_is_back(lab: Lab) -> None:
    name = lab.hub.tunnel("branch1", 0)["name"]
    events = len(_repairs(lab))
    with lab.hub.charon.session() as session:
        session.unload_conn({"name": name})
    wait_for("the connection is back", lambda: name in lab.hub.charon.swanctl("--list-conns").stdout, REPAIRED)
    wait_for("and told", lambda: len(_repairs(lab)) > events, 10)


def _repairs(lab: Lab) -> list[str]:
    return [line for line in lab.hub.agent_log.splitlines() if "drift.repaired" in line]


def test_a_no_op_writes_nothing_also_without_the_ledger(lab: Lab) -> None:
    with between(lab.hub) as proxy:
        for ledger in ("kept", "deleted"):
            if ledger == "deleted":
                for path in lab.hub.run_dir.glob("*.json"):
                    path.unlink()
            proxy.requests.clear()
            with lab.hub.node.monitored() as changes:
                lab.hub.start_agent()
                lab.hub.wait_connected()
                lab.hub.apply("wan1.yaml", "wan2.yaml", "node.yaml")
            assert changes() == "", f"ledger {ledger}"
            writes = {
                name: count
                for name, count in proxy.requests.items()
                if name.startswith(("load", "unload", "init", "terminate"))
            }
            assert writes == {}, f"ledger {ledger}"
            assert proxy.requests["get-conns"], "the proxy sees the agent's requests"
            lab.hub.kill_agent()
