"""The agent's BGP side in a process: its RIB, netlink and ExaBGP drivers for one speaker and its branches.

    python -m bench.routing_agent DIRECTORY COUNT [PROFILE]

It prints `ready` when the speaker's files lie in DIRECTORY/bgp and it follows them, and ends with its standard input.
The passes and the API of a whole agent are left out.
"""

import asyncio
import cProfile
import logging
import sys
from pathlib import Path
from typing import Any, Final

from bench.feed import HOLD_TIME, HUB_ASN, Branch
from bench.namespaces import BRANCHES, HUB, LINK, TABLE
from hubgw.agent.journal import Journal
from hubgw.agent.routing import Routing
from hubgw.drivers.exabgp.driver import ExabgpDriver
from hubgw.drivers.memory import collect_seldom
from hubgw.drivers.netlink.driver import NetlinkDriver
from hubgw.plan.bgp import PeerOf, RouteTable
from hubgw.plan.kernel import Nexthop
from hubgw.plan.numbers import IF_IDS, SESSIONS
from hubgw.plan.sessions import Neighbor, Speaker
from hubgw.plan.types import Create, OpError, Plan

SPEAKER: Final = f"{LINK}-0"


def plan(count: int) -> Plan:
    """Returns a hub with so many branches, each with a tunnel; the link to all of them stands in for the tunnels."""
    branches = [Branch(number, BRANCHES + number) for number in range(count)]
    nexthops = [Nexthop(IF_IDS[1 + branch.number], LINK) for branch in branches]
    neighbors = [
        Neighbor(SPEAKER, one.address, HUB, one.asn, _site(one), HOLD_TIME, True, False, 0) for one in branches
    ]
    peers = tuple(
        PeerOf(SPEAKER, one.address, HUB, one.asn, TABLE, (IF_IDS[1 + one.number],), _site(one), _site(one), "", 0)
        for one in branches
    )
    table = RouteTable(TABLE, LINK, HUB_ASN, "ASPath", True, (), ())
    speaker = Speaker(SPEAKER, LINK, SESSIONS[2], HUB_ASN, (HUB,))
    return Plan((*nexthops, speaker, *neighbors), (), {}, peers, (table,))


def _site(branch: Branch) -> str:
    return f"/sites/branch{branch.number}"


async def serve(directory: Path, count: int) -> None:
    """Follows the speaker until standard input ends. Raises RuntimeError where something is refused."""
    netlink, exabgp = NetlinkDriver(directory / "groups.json"), ExabgpDriver(directory / "bgp")
    routing = Routing(netlink, exabgp, Journal(), fire=_nothing, moved=_nothing)
    wanted = plan(count)
    nexthops = [Create(obj) for obj in wanted.objects if isinstance(obj, Nexthop)]
    sessions = [Create(obj) for obj in wanted.objects if isinstance(obj, Speaker | Neighbor)]
    errors: list[OpError] = [*await netlink.apply(nexthops), *await exabgp.apply(sessions)]
    if errors:
        raise RuntimeError(f"{len(errors)} refused, the first: {errors[0]}")
    await routing.configure(wanted)
    await routing.set_up({nexthop.new.id for nexthop in nexthops if isinstance(nexthop.new, Nexthop)})
    tasks = [asyncio.create_task(one) for one in (routing.follow(), _ticks(routing))]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    done, _ = await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _ticks(routing: Routing) -> None:
    while True:
        await asyncio.sleep(1)
        await routing.tick()


def _nothing() -> None:
    pass


def main(arguments: list[str]) -> None:
    logging.basicConfig(level=logging.WARNING)
    collect_seldom()
    work: Any = serve(Path(arguments[0]), int(arguments[1]))
    if arguments[2:]:
        with cProfile.Profile() as profile:
            asyncio.run(work)
        profile.dump_stats(arguments[2])
    else:
        asyncio.run(work)


if __name__ == "__main__":
    main(sys.argv[1:])
