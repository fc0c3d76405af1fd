"""Who reaches whom: a marked datagram from one node is seen, or not, by a listener in another."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from scapy.layers.inet import ICMP, IP
from scapy.packet import Raw

from tests.lab.node import Node
from tests.lab.waiting import wait_for


def pings(node: Node, source: str, target: str, *, count: int = 3) -> bool:
    """Tells whether `target` answers pings from `source`; one lost of several is no matter."""
    words = ["ping", "-q", "-c", str(count), "-i", "0.2", "-W", "1", "-I", source, target]
    return node.run(*words, check=False).returncode == 0


def answer_to(node: Node, source: str, target: str, *words: str) -> str:
    """Returns what one ping printed: an answer, or who said why not."""
    done = node.run("ping", "-n", "-c", "1", "-W", "2", "-I", source, *words, target, check=False)
    return done.stdout + done.stderr


def marked_packet(source: str, target: str, marker: str) -> bytes:
    """Returns a whole echo request that carries a marker."""
    return bytes(IP(src=source, dst=target) / ICMP(id=1, seq=1) / Raw(marker.encode()))


def send_raw(node: Node, packet: bytes, target: str, count: int = 5) -> None:
    """Sends whole packets from a node, whatever their source."""
    code = (
        "import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_RAW);"
        "[s.sendto(bytes.fromhex(sys.argv[1]),(sys.argv[2],0)) for _ in range(int(sys.argv[3]))]"
    )
    node.run("python3", "-c", code, packet.hex(), target, str(count))


@contextmanager
def tcp_listener(node: Node, address: str, port: int) -> Iterator[None]:
    """Runs a TCP server in a node that reads what it is sent and answers with how many bytes that were."""
    code = (
        "import socket,sys\n"
        "l=socket.create_server((sys.argv[1],int(sys.argv[2])));print('listens',flush=True)\n"
        "while True:\n"
        " c,_=l.accept();n=0\n"
        " while (d:=c.recv(65536)): n+=len(d)\n"
        " c.sendall(str(n).encode());c.close()\n"
    )
    process = subprocess.Popen(
        ["ip", "netns", "exec", node.namespace, "python3", "-c", code, address, str(port)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"listens\n"
        yield
    finally:
        process.kill()
        process.wait(timeout=30)


def tcp_send(node: Node, source: str, target: str, port: int, size: int, *, seconds: int = 20) -> int:
    """Sends `size` bytes over TCP and returns how many the listener says it got."""
    code = (
        "import socket,sys\n"
        "s=socket.create_connection((sys.argv[2],int(sys.argv[3])),int(sys.argv[5]),(sys.argv[1],0));s.settimeout(20)\n"
        "s.sendall(bytes(int(sys.argv[4])));s.shutdown(socket.SHUT_WR);print(s.recv(99).decode())\n"
    )
    return int(node.run("python3", "-c", code, source, target, str(port), str(size), str(seconds), seconds=60).stdout)


class Listener:
    """Counts the packets with a marker that a node receives, on any of its interfaces, from when it is made."""

    def __init__(self, node: Node, marker: str) -> None:
        code = (
            "import socket,sys\n"
            "s=socket.socket(socket.AF_PACKET,socket.SOCK_DGRAM,socket.htons(3));m=sys.argv[1].encode()\n"
            "print('listens',flush=True)\n"
            "while True:\n"
            " if m in s.recv(4096): print('heard',flush=True)\n"
        )
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the listener
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", node.namespace, "python3", "-c", code, marker], stdout=self._out
        )
        wait_for(f"{node.name} listens", lambda: self._read().startswith(b"listens"))

    def heard(self) -> int:
        """Returns how many packets with the marker have come."""
        return self._read().count(b"heard")

    def stop(self) -> int:
        """Stops listening and returns how many packets with the marker came."""
        self._process.kill()
        self._process.wait(timeout=30)
        heard = self.heard()
        self._out.close()
        return heard

    def _read(self) -> bytes:
        return os.pread(self._out.fileno(), 1 << 20, 0)
