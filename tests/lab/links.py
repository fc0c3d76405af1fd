"""More links of branch 2, each with an address of its own and two tunnels, beside its first.

link1 192.0.2.6    interfaces t0  t1
link2 192.0.2.132  interfaces l20 l21
link3 192.0.2.133  interfaces l30 l31
link4 192.0.2.134  interfaces l40 l41
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.topology import Branch, Lab


def address(link: int) -> str:
    """Returns the address of a link from the second on."""
    return f"192.0.2.{130 + link}"


def interfaces(links: int) -> list[str]:
    """Returns the tunnels of all links."""
    return ["t0", "t1", *(f"l{link}{instance}" for link in range(2, links + 1) for instance in (0, 1))]


@contextmanager
def more_links(lab: Lab, links: int, identity: str = "") -> Iterator[None]:
    """Gives the branch so many links for the time of the block; with an identity each of them has that one."""
    branch = lab.branches["br2"]
    try:
        for link in range(2, links + 1):
            branch.node.ip(f"addr add {address(link)}/32 dev eth0")
            lab.isp.ip(f"route add {address(link)}/32 via {branch.address}")
            for instance in (0, 1):
                branch.node.ip(f"link add l{link}{instance} type xfrm dev eth0 if_id {link}{instance}")
                branch.node.ip(f"link set l{link}{instance} up")
        branch.charon.load(_conf(branch, links, identity))
        yield
    finally:
        for link in range(2, links + 1):
            for instance in (0, 1):
                branch.node.run("ip", "link", "del", f"l{link}{instance}", check=False)
            lab.isp.run("ip", "route", "del", f"{address(link)}/32", check=False)
            branch.node.run("ip", "addr", "del", f"{address(link)}/32", "dev", "eth0", check=False)
        branch.charon.load(branch.conf())


def way_back(branch: Branch, *names: str) -> None:
    """Has the branch send over these of its tunnels."""
    nexthops = " ".join(f"nexthop dev {name}" for name in names)
    branch.node.ip(f"route replace 10.0.0.0/8 src {branch.lan} {nexthops}")


def _conf(branch: Branch, links: int, identity: str) -> str:
    """The connections of each link as those of the first, and the key for all that they call themselves."""
    first, _, secrets = branch.conf().partition("}\nsecrets")
    own = first.removeprefix("connections {\n")
    connections = own
    for link in range(2, links + 1):
        other = own.replace(branch.address, address(link))
        for instance in (0, 1):
            other = other.replace(f"i{instance} {{", f"l{link}{instance} {{")
            other = other.replace(f"= 1{instance}\n", f"= {link}{instance}\n")
        connections += other
    names = [identity] if identity else [address(link) for link in range(2, links + 1)]
    if identity:
        for one in (branch.address, *(address(link) for link in range(2, links + 1))):
            connections = connections.replace(f"id = {one}\n", f"id = {identity}\n")
    owners = "".join(f"    id0{number} = {name}\n" for number, name in enumerate(names))
    secrets = secrets.replace("    id1 =", f"{owners}    id1 =", 1)
    return f"connections {{\n{connections}}}\nsecrets{secrets}"
