"""Traffic between two nodes, both ways at once, and what became of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.lab.node import Node
from tests.lab.waiting import wait_for

FLOWS = 64
RATE = 500  # packets per second, each way
PORT = 7000
FIRST_PORT = 20_000  # of the flows, one each
BEFORE, AFTER = 2.0, 5.0  # seconds of traffic around an event


@dataclass(frozen=True, slots=True)
class Way:
    """One direction's outcome; `rate` in packets per second, gaps in seconds.

    In the `longest_gap` nothing came at all; the `flow_gap` is the longest of any one flow: of those that rode a tunnel
    that died, while the others went on.
    """

    sent: int
    received: int
    reordered: int
    duplicated: int
    longest_gap: float
    flow_gap: float
    rate: float
    flows_seen: int

    @property
    def lost(self) -> int:
        return self.sent - self.received


@dataclass(slots=True)
class Outcome:
    """Both directions, there when the traffic has ended."""

    there: Way | None = None
    back: Way | None = None

    @property
    def lost(self) -> int:
        """Packets lost, both ways. Fails while the traffic goes on, and where none was sent."""
        assert self.there is not None and self.back is not None, "the traffic has not ended"
        assert self.there.sent and self.back.sent, "nothing was sent"
        return self.there.lost + self.back.lost

    def __str__(self) -> str:
        return f"there {self.there}, back {self.back}"


@dataclass
class _End:
    node: Node
    process: subprocess.Popen[str]
    answer: dict[str, object] = field(default_factory=dict)

    def order(self, orders: dict[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(orders) + "\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the probe in {self.node.name} ended without an answer"
        answer: dict[str, object] = json.loads(line)
        return answer

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()


def _start(node: Node) -> _End:
    command = ["ip", "netns", "exec", node.namespace, sys.executable, "-m", "tests.lab.probe"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    return _End(node, process)


@contextmanager
def traffic(
    left: Node, left_address: str, right: Node, right_address: str, *, marker: str = "hubgwlab", rate: int = RATE
) -> Iterator[Outcome]:
    """Sends both ways while the block runs, and from `BEFORE` seconds before it until `AFTER` seconds after it.

    `marker` (8 characters) is counted alone, so that another WAN's packets are not mistaken for these.
    """
    assert len(marker) == 8
    outcome = Outcome()
    ends = [_start(left), _start(right)]
    try:
        for end, source, target in zip(ends, (left_address, right_address), (right_address, left_address), strict=True):
            end.order(
                {
                    "address": source,
                    "target": target,
                    "port": PORT,
                    "first_port": FIRST_PORT,
                    "flows": FLOWS,
                    "marker": marker,
                    "rate": rate,
                }
            )
        for end in ends:
            assert end.read() == {"ready": True}
        for end in ends:
            end.say("start")
        _flows_for(BEFORE)
        yield outcome
        _flows_for(AFTER)
        for end in ends:
            end.say("stop")
        answers = [end.read() for end in ends]
        outcome.there, outcome.back = _way(answers[0], answers[1]), _way(answers[1], answers[0])
        print(f"traffic {left_address} - {right_address}: {outcome}")
    finally:
        for end in ends:
            end.process.kill()
            end.process.wait(timeout=30)


def _flows_for(seconds: float) -> None:
    begun = time.monotonic()
    wait_for("the traffic around the event", lambda: time.monotonic() - begun >= seconds, seconds + 5)


def _way(sender: dict[str, object], receiver: dict[str, object]) -> Way:
    sent, received = sender["sent"], receiver["received"]
    assert isinstance(sent, list) and isinstance(received, dict)
    return Way(
        sent=sum(sent),
        received=sum(received.values()),
        reordered=int(str(receiver["reordered"])),
        duplicated=int(str(receiver["duplicated"])),
        longest_gap=float(str(receiver["longest_gap"])),
        flow_gap=float(str(receiver["flow_gap"])),
        rate=sum(sent) / float(str(sender["seconds"])),
        flows_seen=len(received),
    )
