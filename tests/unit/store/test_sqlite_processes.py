"""The store and other processes: one holder, and a kill at any instant."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import StoreError

_HOLD = """
import sys
from pathlib import Path
from hubgw.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""

# Each generation n puts n into every key and moves the owner of the one number along: any mixture would show.
_COMMIT = """
import sys
from pathlib import Path
from hubgw.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
head = store.head
while True:
    n = head + 1
    head = store.commit(head, {f"key{k}": {"n": n} for k in range(40)}, (), {"vrf": [f"owner{n}"]})
    print(head, flush=True)
"""


def _start(script: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_only_one_agent_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with _start(_HOLD, path) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=rf"store: {path} is held by another agent, pid {holder.pid}; stop that"):
            SqliteStore(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    SqliteStore(path).close()


def test_killed_in_the_middle_of_commits(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    told = 0
    for _ in range(8):
        with _start(_COMMIT, path) as writer:
            assert writer.stdout
            for _ in range(random.Random(told).randint(1, 30)):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in writer.stdout if line.endswith("\n"))])
            writer.wait()
        store = SqliteStore(path)
        snapshot = store.read()
        # What was told is kept; at most the commit that was not yet told of is there too.
        assert told <= snapshot.generation <= told + 1
        assert snapshot.resources == {f"key{k}": {"n": snapshot.generation} for k in range(40)}
        number = {("vrf", f"owner{snapshot.generation}"): snapshot.generation}
        assert snapshot.allocations == number
        assert [generation.number for generation in store.history(1)] == [snapshot.generation]
        told = snapshot.generation
        store.close()
