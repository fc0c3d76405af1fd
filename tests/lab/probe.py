"""One end of a probe, as a process in a node: sends prepared packets over many flows, and counts what the other sends.

Runs alone (``python -m tests.lab.probe``), so that it imports nothing heavy: Python is eight times slower without
hardware virtualisation. A flow is a connected socket with a port of its own (a raw socket would hide the ports from the
kernel's multipath hash); a payload is marker (8 bytes), flow (u16), sequence number in the flow (u32). Reads one JSON
line of orders and says that it listens; a second line starts the sending, a third, or the end, stops it; then it waits
for stragglers and answers with one JSON line.
"""

import contextlib
import json
import select
import socket
import struct
import sys
import time
from itertools import pairwise

TAIL = struct.Struct(">8sHI")

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
_DRAIN = 1.5  # seconds without a packet after which nothing more comes
_STEP = 0.004  # seconds between bursts
_BURST = 16  # most packets at once: who catches up with more reads nothing meanwhile, and falls back ever further


def main() -> None:
    orders = json.loads(sys.stdin.readline())
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    receiver.bind((orders["address"], orders["port"]))
    receiver.setblocking(False)
    print(json.dumps({"ready": True}), flush=True)
    # The other end listens too when this line comes.
    sys.stdin.readline()
    flows = [
        _flow(orders["address"], first + orders["first_port"], orders["target"], orders["port"])
        for first in range(orders["flows"])
    ]
    end = _End(receiver, orders["marker"].encode(), flows)
    seconds = end.run(float(orders["rate"]))
    print(json.dumps({"sent": end.sent, "seconds": seconds, **_tell(end.received)}), flush=True)


def _flow(address: str, port: int, target: str, target_port: int) -> socket.socket:
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((address, port))
    sender.connect((target, target_port))
    return sender


class _End:
    """One thread that sends what is due and takes what has come, in turn: two would wait for each other's lock."""

    def __init__(self, receiver: socket.socket, marker: bytes, flows: list[socket.socket]) -> None:
        self.sent = [0] * len(flows)
        self.received: list[tuple[float, int, int]] = []
        self._receiver = receiver
        self._marker = marker
        self._flows = flows

    def run(self, rate: float) -> float:
        """Sends until standard input says more, then takes stragglers; returns the seconds of sending."""
        begun, count, skipped = time.monotonic(), 0, 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            # A burst of what is due by the clock, so that a late wake-up does not lower the rate.
            due = int((time.monotonic() - begun) * rate) + 1 - skipped
            skipped += max(0, due - count - _BURST)
            for number in range(count, min(due, count + _BURST)):
                self._send(number % len(self._flows))
                count += 1
            self._receive()
            time.sleep(_STEP)
        seconds = time.monotonic() - begun
        while select.select([self._receiver], [], [], _DRAIN)[0]:
            self._receive()
        return seconds

    def _send(self, flow: int) -> None:
        payload = TAIL.pack(self._marker, flow, self.sent[flow])
        self.sent[flow] += 1
        # What an ICMP error tells the socket is told once; the packet counts as sent, and so as lost.
        with contextlib.suppress(OSError):
            self._flows[flow].send(payload)

    def _receive(self) -> None:
        while True:
            try:
                payload = self._receiver.recv(2048)
            except BlockingIOError:
                return
            marker, flow, sequence = TAIL.unpack_from(payload, len(payload) - TAIL.size)
            if marker == self._marker:
                self.received.append((time.monotonic(), flow, sequence))


def _tell(received: list[tuple[float, int, int]]) -> dict[str, object]:
    """Counts per flow: a packet is reordered where one of its flow with a higher number came before it."""
    highest: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    reordered = duplicated = 0
    for _, flow, sequence in received:
        if (flow, sequence) in seen:
            duplicated += 1
            continue
        seen.add((flow, sequence))
        if sequence < highest.get(flow, -1):
            reordered += 1
        highest[flow] = max(sequence, highest.get(flow, -1))
    times = [moment for moment, _, _ in received]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    of_flows: dict[int, list[float]] = {}
    for moment, flow, _ in received:
        of_flows.setdefault(flow, []).append(moment)
    flow_gaps = [later - earlier for moments in of_flows.values() for earlier, later in pairwise(moments)]
    per_flow: dict[str, int] = {}
    for flow, _ in seen:
        per_flow[str(flow)] = per_flow.get(str(flow), 0) + 1
    return {
        "received": per_flow,
        "reordered": reordered,
        "duplicated": duplicated,
        "longest_gap": max(gaps, default=0.0),
        "flow_gap": max(flow_gaps, default=0.0),
    }


if __name__ == "__main__":
    main()
