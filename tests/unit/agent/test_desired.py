"""What the compiler remembers between generations, and that it remembers nothing that has changed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import sites
from hubgw.agent import desired
from hubgw.agent.certificates import Certificates
from hubgw.agent.desired import Compiler, Desired
from hubgw.agent.journal import Journal
from hubgw.compile.allocate import owners
from hubgw.resources.inventory import Inventory
from hubgw.resources.load import load
from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import Json


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "store" / "store.db")
    yield made
    made.close()


def _commit(store: SqliteStore, text: str) -> None:
    read = store.read()
    resources = {resource.key: resource for resource in load([("a.yaml", text.encode())]).resources}
    puts = {key: resource.to_json(secrets=True) for key, resource in resources.items()}
    known = {key: desired.from_json(body) for key, body in read.resources.items()}
    by_kind: dict[str, set[str]] = {}
    for kind, owner in owners(Inventory.of((known | resources).values())):
        by_kind.setdefault(kind, set()).add(owner)
    store.commit(store.head, puts, (), by_kind)


def _latest(compiler: Compiler) -> Desired:
    return asyncio.run(compiler.latest())


def test_a_generation_is_what_a_fresh_compiler_makes_of_it(store: SqliteStore) -> None:
    compiler = Compiler(store, "", None, Certificates(store, Journal()))
    for text in (sites.hub(3), sites.site(1, more=True), sites.site(3), sites.hub(4)):
        _commit(store, text)
        assert _latest(compiler).plan == _latest(Compiler(store, "", None, Certificates(store, Journal()))).plan


def test_only_what_changed_is_read_again(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(body: Json) -> object:
        read.append(str(body["name"]))
        return original(body)

    original = desired.from_json
    monkeypatch.setattr(desired, "from_json", counted)
    compiler = Compiler(store, "", None, Certificates(store, Journal()))
    _commit(store, sites.hub(3))
    _latest(compiler)
    read.clear()
    _commit(store, sites.site(1, more=True))
    read.clear()
    _latest(compiler)
    assert read == ["branch00001"]


def test_what_was_foreseen_is_not_compiled_again(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = Compiler(store, "", None, Certificates(store, Journal()))
    _commit(store, sites.hub(3))
    snapshot = store.read()
    inventory = Inventory.of(compiler.resource(key, body) for key, body in snapshot.resources.items())
    foreseen = compiler.preview(inventory, {})
    monkeypatch.setattr(desired, "compile_plan", None)
    assert _latest(compiler).plan is foreseen
