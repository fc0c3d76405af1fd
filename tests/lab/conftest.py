"""The lab is built once a run and shared by all cases; a case that fails shows what every node had."""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab.bgp_topology import BgpLab, add_bgp_branches
from tests.lab.interop import Device, add_devices
from tests.lab.node import Node
from tests.lab.place import place
from tests.lab.topology import Lab, build
from tests.lab.users import Client, client

_SHOWN = 4_000  # characters of each log

_COMMANDS = (
    ("links", "ip -d -br link"),
    ("rules", "ip rule"),
    ("routes", "ip route show table all"),
    ("nexthops", "ip nexthop"),
    ("xfrm states", "ip -s xfrm state list nokeys"),
    ("xfrm counters", "cat /proc/net/xfrm_stat"),
    ("UDP and IP counters", "nstat -asz IpInDiscards IpOutDiscards IpOutNoRoutes UdpRcvbufErrors UdpInErrors"),
    ("queues", "ip -s link show dev eth0"),
    ("nftables", "nft list ruleset"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the lab where its kernel is not: it never touches a machine's own network."""
    if os.geteuid() == 0 and Path("/sys/module/xfrm_interface").exists() and Path("/sys/module/vrf").exists():
        return
    for item in items:
        if "tests/lab/" in str(item.path):
            item.add_marker(pytest.mark.skip(reason="needs the lab VM: make test, or make lab K=name"))


@pytest.fixture(scope="session")
def bare_lab() -> Iterator[Lab]:
    """The network with every charon up and the agent not started yet."""
    directory = Path(tempfile.mkdtemp(prefix="hubgw-lab-"))
    directory.chmod(0o711)  # BGP speakers run below it, each under a uid of its own
    with place():
        lab = build(directory)
        yield lab
        lab.hub.end_supervision()
        for node in lab.nodes:
            node.destroy()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def running_lab(bare_lab: Lab) -> Lab:
    """The lab with both virtual WANs configured and every tunnel up."""
    bare_lab.hub.start_agent()
    bare_lab.hub.apply("wan1.yaml", "wan2.yaml", "node.yaml")
    bare_lab.hub.wait_connected()
    return bare_lab


@pytest.fixture
def lab(running_lab: Lab) -> Lab:
    """The running lab, as every case must leave it: the agent up and every tunnel connected."""
    if not running_lab.hub.agent_runs():
        running_lab.hub.start_agent()
    running_lab.hub.wait_connected()
    return running_lab


@pytest.fixture(scope="session")
def bgp_branches(running_lab: Lab) -> BgpLab:
    """The branches that speak BGP, made when the first case asks for them."""
    return add_bgp_branches(running_lab)


@pytest.fixture
def bgp(lab: Lab, bgp_branches: BgpLab) -> BgpLab:
    """The lab with BGP, as every case must leave it: all of its sessions established, and the LANs announced alone."""
    if "branch4/0" not in lab.hub.tunnels():
        lab.hub.apply("bgp1.yaml", "bgp2.yaml")
    bgp_branches.wait_ready()
    return bgp_branches


@pytest.fixture(scope="session")
def devices(running_lab: Lab) -> dict[str, Device]:
    """Devices of others, by the name of their daemon; the hub knows nothing of them until a case joins one."""
    return add_devices(running_lab)


@pytest.fixture(scope="module")
def two_clients(running_lab: Lab) -> Iterator[list[Client]]:
    """Two users' machines, made once a module."""
    made = [client(running_lab, number) for number in (51, 52)]
    yield made
    for one in made:
        one.node.destroy()


@pytest.fixture
def clients(two_clients: list[Client]) -> Iterator[list[Client]]:
    """Them, whom every case finds logged out."""
    yield two_clients
    for one in two_clients:
        one.logout(force=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fixtures = getattr(item, "funcargs", {})
    lab = fixtures.get("lab") or fixtures.get("bare_lab")
    if report.failed and isinstance(lab, Lab):
        for node in lab.nodes:
            report.sections.extend(_sections(node))
    return report


def _sections(node: Node) -> Iterator[tuple[str, str]]:
    for log in ("charon.log", "agent.out", "charon.out", "bird.log", "pluto.log", "runsvdir.out"):
        if text := node.log(log):
            yield f"{node.name}: {log}", text[-_SHOWN:]
    if node.name == "hub" or node.name.startswith("br"):
        for title, command in _COMMANDS:
            done = node.run(*command.split(), check=False)
            yield f"{node.name}: {title}", (done.stdout + done.stderr)[:_SHOWN]
