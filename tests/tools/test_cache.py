"""The cache: complete or absent, keyed by content, pruned, and never a removal through a mount."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import cache


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HUBGW_CACHE", str(tmp_path / "cache"))
    yield cache.home()


def fill(partial: Path) -> None:
    (partial / "file").write_text("complete", encoding="utf-8")


def never(_: Path) -> None:
    raise AssertionError("made again")


def test_keys_count_the_boundaries() -> None:
    assert cache.key(["ab", "c"]) != cache.key(["a", "bc"])
    assert cache.key(["ab", b"c"]) == cache.key([b"ab", "c"])


def test_an_entry_is_made_once() -> None:
    first = cache.entry("kind", "1", fill)
    assert (first / "file").read_text(encoding="utf-8") == "complete"
    assert cache.entry("kind", "1", never) == first


def test_a_failure_leaves_no_entry(home: Path) -> None:
    def broken(partial: Path) -> None:
        fill(partial)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cache.entry("kind", "1", broken)
    assert not (home / "kind-1").exists()
    assert cache.entry("kind", "1", fill).exists()


def test_older_entries_go_but_not_what_a_machine_stands_on(home: Path) -> None:
    for number in range(1, 5):
        path = cache.entry("kind", str(number), fill, in_use=[home / "kind-1"])
        os.utime(path, (number, number))
    assert sorted(path.name for path in home.glob("kind-*")) == ["kind-1", "kind-3", "kind-4"]


def test_nothing_is_removed_through_a_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    (tree / "dev").mkdir(parents=True)
    line = f"36 35 0:30 / {tree}/dev rw - devtmpfs devtmpfs rw\n"
    monkeypatch.setattr(cache, "mounts", lambda: [row.split()[4] for row in line.splitlines()])
    with pytest.raises(RuntimeError, match="dev is mounted"):
        cache.remove(tree)
    assert tree.exists()
