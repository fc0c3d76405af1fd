"""Any sequence of commits, refusals and reopenings is told by a store as by a list of dictionaries."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import Conflict

KEYS = st.sampled_from("abcd")
BODIES = st.fixed_dictionaries({"x": st.integers(0, 2)})


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.path = Path(self.directory) / "store.db"
        self.store = SqliteStore(self.path)
        self.generations: list[dict[str, object]] = [{}]
        self.numbers: dict[tuple[str, str], int] = {}
        self.ever: set[tuple[str, int]] = set()

    @rule(puts=st.dictionaries(KEYS, BODIES), deletes=st.sets(KEYS))
    def commit(self, puts: dict[str, dict[str, int]], deletes: set[str]) -> None:
        now = self.generations[-1]
        wanted = {key: body for key, body in now.items() if key not in deletes or key in puts} | puts
        head = self.store.commit(len(self.generations) - 1, puts, deletes)
        if wanted != now:
            self.generations.append(wanted)
        assert head == len(self.generations) - 1

    @rule(kind=st.sampled_from(["vrf", "tunnel"]), owners=st.sets(KEYS))
    def allocate(self, kind: str, owners: set[str]) -> None:
        before = {key: number for key, number in self.numbers.items() if key[0] == kind}
        self.store.commit(len(self.generations) - 1, {}, (), {kind: owners})
        after = {key: number for key, number in self.store.read().allocations.items() if key[0] == kind}
        assert {owner for _, owner in after} == owners
        for key, number in after.items():
            assert before.get(key, number) == number
            assert key in before or (kind, number) not in self.ever
        self.ever |= {(kind, number) for (kind, _), number in after.items()}
        self.numbers = {key: number for key, number in self.numbers.items() if key[0] != kind} | after

    @rule(behind=st.integers(1, 3), puts=st.dictionaries(KEYS, BODIES))
    def conflict(self, behind: int, puts: dict[str, dict[str, int]]) -> None:
        with pytest.raises(Conflict):
            self.store.commit(len(self.generations) - 1 - behind, puts, (), {"vrf": ["z"]})

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.path)

    @invariant()
    def tells_every_generation(self) -> None:
        for number, resources in enumerate(self.generations):
            assert self.store.read(number).resources == resources
        assert self.store.read().allocations == self.numbers
        assert len(self.store.history()) == len(self.generations) - 1

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
