"""Each topology of containerlab/ is deployed, its smoke.sh passes, and it is destroyed. Runs in the lab VM."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
TOPOLOGIES = sorted(path.parent for path in REPO.glob("containerlab/*/topology.clab.yml"))

pytestmark = [
    pytest.mark.skipif("HUBGW_LAB" not in os.environ, reason="containers are started in the lab VM alone: make test"),
    pytest.mark.timeout(600),
]


def call(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=REPO, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def clab(verb: str, topology: Path) -> None:
    done = call("python", "-m", "tools.clab", verb, "-t", str(topology / "topology.clab.yml"))
    assert done.returncode == 0, done.stderr


def evidence(topology: Path) -> str:
    """What tells why: every node's log, and the hub's routes, nexthops, nftables table, SAs and addresses."""
    commands = (
        "ip route show table all",
        "ip nexthop",
        "nft list table inet hubgw",
        "swanctl --list-sas",
        "ip -br addr",
    )
    parts = []
    for name in call("docker", "ps", "--all", "--format", "{{.Names}}").stdout.split():
        logs = call("docker", "logs", "--tail", "60", name)
        parts.append(f"--- {name}: log\n{logs.stdout}{logs.stderr}")
        if name == f"clab-{topology.name}-hub":
            for command in commands:
                done = call("docker", "exec", name, *command.split())
                parts.append(f"--- {name}: {command}\n{done.stdout}{done.stderr}")
    return "\n".join(parts)


# What two-wans shows, tests/lab shows too, and what two-branches shows bgp does.
_SHOWN_ELSEWHERE = {"two-wans", "two-branches"}
_PARAMS = [
    pytest.param(path, id=path.name, marks=pytest.mark.slow if path.name in _SHOWN_ELSEWHERE else ())
    for path in TOPOLOGIES
]


@pytest.fixture(params=_PARAMS)
def topology(request: pytest.FixtureRequest) -> Iterator[Path]:
    path: Path = request.param
    clab("destroy", path)
    try:
        clab("deploy", path)
        yield path
    finally:
        clab("destroy", path)


def test_smoke(topology: Path) -> None:
    done = call("bash", str(topology / "smoke.sh"))
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{evidence(topology)}"
