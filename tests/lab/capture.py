"""What passes on an interface, by tcpdump with a filter in the kernel: ESP, and nothing inner in clear."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.node import Node
from tests.lab.waiting import wait_for


@dataclass
class Captured:
    """The lines of tcpdump, one a packet, there when the capture has ended."""

    pcap: Path
    lines: list[str] = field(default_factory=list)


@contextmanager
def capture(node: Node, interface: str, expression: str, *, to_the_last: bool = False) -> Iterator[Captured]:
    """Captures while the block runs; it listens before the block begins.

    Packets go to a file and are told afterwards: to print each as it comes would slow the lab down to a crawl. The
    kernel hands them over by the second, so that those of the last one are missed unless they are wanted `to_the_last`.
    """
    number = len(list(node.directory.glob("capture-*.pcap")))
    pcap = node.directory / f"capture-{number}.pcap"
    captured = Captured(pcap)
    process = subprocess.Popen(
        [
            "ip",
            "netns",
            "exec",
            node.namespace,
            "tcpdump",
            "-Z",
            "root",
            *(["--immediate-mode"] if to_the_last else []),
            "-Uni",
            interface,
            "-w",
            str(pcap),
            expression,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        wait_for("tcpdump listens", lambda: "listening" in (process.stderr.readline() if process.stderr else ""), 30)
        yield captured
    finally:
        process.terminate()
        process.communicate(timeout=30)
    captured.lines.extend(node.run("tcpdump", "-nr", str(pcap)).stdout.splitlines())
