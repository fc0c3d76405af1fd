"""Turns a containerlab topology file into running containers and links: with containerlab where it is, else by itself.

    python -m tools.clab deploy|destroy -t FILE

Runs inside the lab VM. Of the file's language it knows what tools.topology reads and refuses the rest, so that one file
never means two things.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import docker
from tools.progress import LabError, phase, say
from tools.topology import Node, Topology, TopologyError, read

# Two at a time: more only share the emulated processors.
PARALLEL = 2


def call(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def start_node(topology: Topology, node: Node) -> None:
    name = topology.container(node.name)
    argv = ["docker", "run", "--detach", "--privileged", "--network", "none", "--hostname", node.name, "--name", name]
    argv += ["--label", f"containerlab={topology.name}", "--label", f"clab-node-name={node.name}"]
    argv += [option for bind in node.binds for option in ("--volume", bind)]
    argv += [option for key, value in node.env.items() for option in ("--env", f"{key}={value}")]
    call([*argv, node.image])


def wire(topology: Topology) -> None:
    """A veth pair a link, made with both ends in place and then set up."""
    names = [topology.container(node.name) for node in topology.nodes]
    inspected = json.loads(call(["docker", "inspect", *names]))
    pids = {node.name: str(state["State"]["Pid"]) for node, state in zip(topology.nodes, inspected, strict=True)}
    for link in topology.links:
        (a, a_interface), (b, b_interface) = link.a, link.b
        one = ["ip", "link", "add", a_interface, "mtu", str(link.mtu), "netns", pids[a], "type", "veth"]
        call([*one, "peer", "name", b_interface, "mtu", str(link.mtu), "netns", pids[b]])
        for node, interface in (link.a, link.b):
            call(["nsenter", "--target", pids[node], "--net", "ip", "link", "set", interface, "up"])


def execute(topology: Topology, node: Node) -> None:
    for argv in node.exec:
        output = call(["docker", "exec", topology.container(node.name), *argv])
        if output.strip():
            say(f"{node.name}: {' '.join(argv)}\n{output.rstrip()}")


def deploy(topology: Topology) -> None:
    docker.start()
    with phase(f"{len(topology.nodes)} containers"), ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda node: start_node(topology, node), topology.nodes))
    with phase(f"{len(topology.links)} links"):
        wire(topology)
    with phase("the nodes' own commands"), ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda node: execute(topology, node), topology.nodes))


def destroy(topology: Topology) -> None:
    """Removes the lab's containers, volumes included; deleting what is not there succeeds."""
    docker.start()
    found = call(["docker", "ps", "--all", "--quiet", "--filter", f"label=containerlab={topology.name}"]).split()
    if found:
        with phase(f"{len(found)} containers removed"):
            call(["docker", "rm", "--force", "--volumes", *found])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.clab", description=__doc__)
    parser.add_argument("verb", choices=("deploy", "destroy"))
    parser.add_argument("-t", "--topo", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    real = shutil.which("containerlab")
    say(f"{args.verb} of {args.topo} by {'containerlab itself' if real else 'the deployer of this project'}")
    try:
        if real:
            docker.start()
            return subprocess.run([real, args.verb, "-t", str(args.topo)], check=False).returncode
        topology = read(args.topo)
        deploy(topology) if args.verb == "deploy" else destroy(topology)
    except (LabError, TopologyError) as problem:
        say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
