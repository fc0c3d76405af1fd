"""The embedded store: generations, the head, allocations, and what it says when it cannot."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubgw.store.sqlite import SqliteStore
from hubgw.store.types import Conflict, StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


def test_new_store_is_empty_and_private(store: SqliteStore, path: Path) -> None:
    snapshot = store.read()
    assert (snapshot.generation, dict(snapshot.resources), dict(snapshot.allocations)) == (0, {}, {})
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.commit(0, {"a": {"x": 1}}, ())
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_modes_of_an_older_file_are_mended(path: Path) -> None:
    SqliteStore(path).close()
    path.chmod(0o644)
    SqliteStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_generations_never_change(store: SqliteStore) -> None:
    assert store.commit(0, {"a": {"x": 1}, "b": {"x": 2}}, (), who="uid 0", message="apply") == 1
    assert store.commit(1, {"a": {"x": 3}}, ("b",)) == 2
    assert store.read(1).resources == {"a": {"x": 1}, "b": {"x": 2}}
    assert store.read(0).resources == {}
    assert store.read().resources == store.read(2).resources == {"a": {"x": 3}}
    newest, oldest = store.history()
    assert (newest.number, newest.put, newest.deleted) == (2, ("a",), ("b",))
    assert (oldest.number, oldest.who, oldest.message, oldest.put) == (1, "uid 0", "apply", ("a", "b"))
    assert store.history(1) == (newest,)


def test_a_generation_that_is_not_there(store: SqliteStore) -> None:
    for number in (1, -1):
        with pytest.raises(StoreError, match=f"no generation {number}; the newest is 0"):
            store.read(number)


def test_nothing_new_makes_no_generation(store: SqliteStore) -> None:
    store.commit(0, {"a": {"x": 1, "y": 2}}, ())
    assert store.commit(1, {"a": {"y": 2, "x": 1}}, ("never there",)) == 1
    assert len(store.history()) == 1


def test_compare_and_swap(store: SqliteStore) -> None:
    store.commit(0, {"a": {}}, ())
    with pytest.raises(Conflict) as conflict:
        store.commit(0, {"b": {}}, (), {"vrf": ["b"]})
    assert conflict.value.head == 1
    assert store.read().resources == {"a": {}}
    assert store.read().allocations == {}


def test_numbers_are_never_given_twice(store: SqliteStore) -> None:
    store.commit(0, {"a": {}}, (), {"vrf": ["a", "b"], "port": ["a"]})
    assert store.read().allocations == {("vrf", "a"): 1, ("vrf", "b"): 2, ("port", "a"): 1}
    store.commit(1, {}, (), {"vrf": ["a"]})
    store.commit(1, {}, (), {"vrf": ["a", "b"]})
    assert store.read().allocations == {("vrf", "a"): 1, ("vrf", "b"): 3, ("port", "a"): 1}
    store.commit(1, {}, ("a",), {"vrf": [], "port": []})
    assert store.read().allocations == {}
    store.commit(2, {}, (), {"vrf": ["c"]})
    assert store.read().allocations == {("vrf", "c"): 4}


def test_everything_is_there_after_reopening(path: Path) -> None:
    first = SqliteStore(path)
    first.commit(0, {"a": {"name": "Zürich"}}, (), {"tunnel": ["a"]})
    key = first.hmac_key
    first.close()
    first.close()
    second = SqliteStore(path)
    assert (second.hmac_key, len(key)) == (key, 32)
    assert second.read().resources == {"a": {"name": "Zürich"}}
    second.close()


def test_full_disk_changes_nothing(store: SqliteStore) -> None:
    store.commit(0, {"a": {"x": 1}}, ())
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full; nothing was changed: make room"):
        store.commit(1, {"b": {"x": "y" * 100_000}}, ("a",), {"vrf": ["b"]})
    assert store.read().resources == {"a": {"x": 1}}
    assert store.read().allocations == {}
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert store.commit(1, {"b": {"x": "y" * 100_000}}, ()) == 2


def test_newer_schema_is_refused(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(StoreError, match=r"has schema 7, this hubgw knows 1; run the hubgw that wrote it"):
        SqliteStore(path)


def test_database_of_another_program(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipe (name TEXT)")
    db.close()
    with pytest.raises(StoreError, match="database of another program"):
        SqliteStore(path)


def test_file_that_is_no_database(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"virtualWans: wan1\n" * 500)
    with pytest.raises(StoreError, match=r"store\.db: file is not a database; .*restore it from a backup"):
        SqliteStore(path)


def test_damaged_pages(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(0, {f"key{n}": {"x": "y" * 50} for n in range(500)}, ())
    store.close()
    content = bytearray(path.read_bytes())
    content[8192:20480] = os.urandom(12288)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged.*restore it from a backup"):
        SqliteStore(path).read()
    path.write_bytes(content[:6000])
    with pytest.raises(StoreError, match=r"damaged.*restore it from a backup"):
        SqliteStore(path).read()


def test_body_that_is_no_json(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(0, {"a": {}}, ())
    store._db.execute("UPDATE change SET body = '{'")
    with pytest.raises(StoreError, match=r"is damaged: .*restore it from a backup"):
        store.read()
    store.close()


def test_empty_file_is_a_store_that_was_never_made(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.touch()
    store = SqliteStore(path)
    assert store.head == 0
    store.close()


def test_a_directory_in_the_place_of_the_file(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700)
    path.parent.chmod(0o700)
    with pytest.raises(StoreError, match="unable to open database file; is it a file"):
        SqliteStore(path)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Not a directory; run the agent as root"):
        SqliteStore(tmp_path / "file" / "below" / "store.db")


def test_a_directory_where_others_may_write(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(StoreError, match="has mode 0777, so others may write there; chmod it to 0700"):
        SqliteStore(path)


def test_a_failed_opening_lets_go(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"no database" * 500)
    with pytest.raises(StoreError):
        SqliteStore(path)
    path.unlink()
    SqliteStore(path).close()
