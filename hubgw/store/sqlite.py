"""The embedded store: commits of resources -> one SQLite file that survives a crash at any instant.

A commit is a generation, which never changes again, and a compare-and-swap of the head, in one transaction with the
numbers that it allocates. One process holds the store, so that there is one writer and one truth. It must not know what
a resource is, and must not log what it holds: preshared keys are in it.
"""

import fcntl
import json
import os
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hubgw.store.types import Conflict, Generation, Json, Snapshot, StoreError

APPLICATION: Final = 0x68756267  # "hubg", in the file's header
SCHEMA: Final = 1

_TABLES: Final = (
    "CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE generation (number INTEGER PRIMARY KEY, time TEXT NOT NULL, who TEXT NOT NULL,"
    " message TEXT NOT NULL)",
    "CREATE TABLE change (key TEXT NOT NULL, generation INTEGER NOT NULL REFERENCES generation, body TEXT,"
    " PRIMARY KEY (key, generation)) WITHOUT ROWID",
    "CREATE INDEX change_of ON change (generation)",
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL)",
    "CREATE TABLE live (key TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counter (kind TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE allocation (kind TEXT NOT NULL, owner TEXT NOT NULL, number INTEGER NOT NULL,"
    " PRIMARY KEY (kind, owner), UNIQUE (kind, number)) WITHOUT ROWID",
    "INSERT INTO head VALUES (1, 0)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)


class SqliteStore:
    """The store in one file, held by this process until `close`. One call at a time, from any thread."""

    def __init__(self, path: Path) -> None:
        """Opens the store, and makes it where there is none.

        Raises:
            StoreError: held by another agent, written by a newer hubgw, damaged, or the file system refused.
        """
        self.path = path
        self._lock = _hold(path)
        try:
            with self._refusals():
                self._db = _connect(path)
                self._check_schema()
            row = self._db.execute("SELECT value FROM secret WHERE name = 'hmac'").fetchone()
            self.hmac_key: Final = bytes(row[0])
            """32 random bytes, made with the store: ids that must not tell the secret they name are derived with it."""
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the store back; closing it twice is fine."""
        if hasattr(self, "_db"):
            self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def head(self) -> int:
        """The number of the newest generation; 0 while there is none."""
        with self._refusals():
            row = self._db.execute("SELECT generation FROM head").fetchone()
        return int(row[0])

    def read(self, generation: int | None = None) -> Snapshot:
        """Returns the resources of a generation, by default the newest.

        Raises:
            StoreError: there is no such generation, or the file cannot be read.
        """
        with self._transaction("BEGIN"):
            head = self.head
            number = head if generation is None else generation
            if not 0 <= number <= head:
                raise StoreError(f"store: there is no generation {number}; the newest is {head}")
            rows = self._db.execute(*(_live(number) if number < head else _LIVE)).fetchall()
            numbers = self._db.execute("SELECT kind, owner, number FROM allocation ORDER BY kind, owner").fetchall()
            last = self._db.execute("SELECT kind, last FROM counter ORDER BY kind").fetchall()
        try:
            resources = {str(key): json.loads(body) for key, body in rows}
        except ValueError as error:
            raise StoreError(f"store: {self.path} is damaged: {error}; restore it from a backup") from None
        allocations = {(str(kind), str(owner)): int(n) for kind, owner, n in numbers}
        return Snapshot(number, resources, allocations, {str(kind): int(n) for kind, n in last})

    def commit(
        self,
        expected_head: int,
        puts: Mapping[str, Json],
        deletes: Collection[str],
        owners: Mapping[str, Collection[str]] | None = None,
        *,
        who: str = "",
        message: str = "",
    ) -> int:
        """Writes what differs as the next generation and returns its number; where nothing differs, the head as it is.

        `owners` names, per kind, all that shall hold a number: new ones get one that was never given before, others
        lose theirs. Kinds that it does not name keep what they have.

        Raises:
            Conflict: the head is not `expected_head`.
            StoreError: the file system refused (a full disk); nothing was changed.
        """
        with self._transaction("BEGIN IMMEDIATE"):
            if (head := self.head) != expected_head:
                raise Conflict(expected_head, head)
            changes = self._differing(puts, deletes)
            number = head + 1 if changes else head
            if changes:
                self._write(number, changes, who, message)
            for kind, wanted in sorted((owners or {}).items()):
                self._allocate(kind, set(wanted))
        return number

    def secret(self, name: str) -> bytes | None:
        """Returns what was kept under a name. Raises StoreError."""
        with self._refusals():
            row = self._db.execute("SELECT value FROM secret WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def keep_secret(self, name: str, value: bytes) -> None:
        """Keeps what is no resource, and no generation's. Raises StoreError; nothing was changed then."""
        with self._transaction("BEGIN IMMEDIATE"):
            self._db.execute("INSERT OR REPLACE INTO secret VALUES (?, ?)", (name, value))

    def history(self, limit: int = 100) -> tuple[Generation, ...]:
        """Returns the newest generations, the newest first."""
        with self._transaction("BEGIN"):
            rows = self._db.execute("SELECT * FROM generation ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
            return tuple(self._generation(*row) for row in rows)

    def _generation(self, number: int, time: str, who: str, message: str) -> Generation:
        rows = self._db.execute(
            "SELECT key, body IS NULL FROM change WHERE generation = ? ORDER BY key", (number,)
        ).fetchall()
        put, deleted = (tuple(key for key, gone in rows if bool(gone) is side) for side in (False, True))
        return Generation(number, time, who, message, put, deleted)

    def _differing(self, puts: Mapping[str, Json], deletes: Collection[str]) -> dict[str, str | None]:
        stored = dict(self._db.execute(*_LIVE).fetchall())
        texts = {key: json.dumps(body, sort_keys=True, separators=(",", ":")) for key, body in puts.items()}
        changes: dict[str, str | None] = {key: text for key, text in texts.items() if stored.get(key) != text}
        return changes | {key: None for key in deletes if key in stored and key not in puts}

    def _write(self, number: int, changes: Mapping[str, str | None], who: str, message: str) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        execute, many = self._db.execute, self._db.executemany
        execute("INSERT INTO generation VALUES (?, ?, ?, ?)", (number, time, who, message))
        many("INSERT INTO change VALUES (?, ?, ?)", [(key, number, body) for key, body in sorted(changes.items())])
        many("DELETE FROM live WHERE key = ?", [(key,) for key in changes])
        many("INSERT INTO live VALUES (?, ?)", [(key, number) for key, body in changes.items() if body is not None])
        execute("UPDATE head SET generation = ?", (number,))

    def _allocate(self, kind: str, wanted: set[str]) -> None:
        rows = self._db.execute("SELECT owner FROM allocation WHERE kind = ?", (kind,)).fetchall()
        held = {str(owner) for (owner,) in rows}
        delete = "DELETE FROM allocation WHERE kind = ? AND owner = ?"
        self._db.executemany(delete, [(kind, owner) for owner in held - wanted])
        if not (new := sorted(wanted - held)):
            return
        row = self._db.execute("SELECT last FROM counter WHERE kind = ?", (kind,)).fetchone()
        last = int(row[0]) if row else 0
        numbered = [(kind, owner, number) for number, owner in enumerate(new, last + 1)]
        self._db.executemany("INSERT INTO allocation VALUES (?, ?, ?)", numbered)
        self._db.execute("INSERT OR REPLACE INTO counter VALUES (?, ?)", (kind, last + len(new)))

    def _check_schema(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not tables and not version:
            self._create()
        elif application != APPLICATION:
            raise StoreError(f"store: {self.path} is a database of another program; name another file")
        elif version > SCHEMA:
            raise StoreError(
                f"store: {self.path} has schema {version}, this hubgw knows {SCHEMA}; run the hubgw that wrote it"
            )
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"store: {self.path} is damaged: {verdict.splitlines()[-1]}; restore it from a backup")

    def _create(self) -> None:
        with self._transaction("BEGIN IMMEDIATE"):
            for statement in _TABLES:
                self._db.execute(statement)
            self._db.execute("INSERT INTO secret VALUES ('hmac', ?)", (secrets.token_bytes(32),))

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._refusals():
            self._db.execute(begin)
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after a full disk or an I/O error.
                if self._db.in_transaction:
                    with suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            hint = _HINTS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "nothing was changed")
            raise StoreError(f"store: {self.path}: {error}; {hint}") from error


_LIVE: Final = ("SELECT key, body FROM live JOIN change USING (key, generation) ORDER BY key", ())


def _live(generation: int) -> tuple[str, tuple[int]]:
    # SQLite takes the other columns from the row that max() chose: https://sqlite.org/lang_select.html#bareagg
    newest = "SELECT key, body, max(generation) FROM change WHERE generation <= ? GROUP BY key"
    return f"SELECT key, body FROM ({newest}) WHERE body IS NOT NULL ORDER BY key", (generation,)  # noqa: S608


_HINTS: Final = {
    sqlite3.SQLITE_NOTADB: "it is no store of hubgw, or damaged: restore it from a backup",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a backup",
    sqlite3.SQLITE_FULL: "nothing was changed: make room and try again",
    sqlite3.SQLITE_CANTOPEN: "is it a file, in a directory that the agent may write to?",
    sqlite3.SQLITE_BUSY: "another program holds it open: end that",
}


def _hold(path: Path) -> int:
    """Takes the store for this process: the descriptor of the lock file beside it, which the kernel lets go with us.

    The lock is not on the database itself: closing any descriptor of it would drop SQLite's own POSIX locks.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.parent.stat().st_mode & 0o777
        if mode & 0o022:
            raise StoreError(f"store: {path.parent} has mode {mode:04o}, so others may write there; chmod it to 0700")
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"store: {error.filename}: {error.strerror}; run the agent as root, or name another file"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise StoreError(f"store: {path} is held by another agent, pid {pid}; stop that one first") from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    with suppress(OSError):  # SQLite says better what is wrong with the file
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            db.execute(f"PRAGMA {pragma}")
    except BaseException:
        db.close()
        raise
    return db
