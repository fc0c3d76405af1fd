"""What an authority of hubgw's own has to keep <-> one secret of the store, as JSON, written as a whole."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Generic, TypeVar

from hubgw.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")


class Kept(Generic[S]):
    """`state` is what is kept, under a name, and what changes in it until it is saved."""

    def __init__(self, store: SqliteStore, name: str, of: type[S]) -> None:
        self._store = store
        self._name = name
        self._of = of
        self.state = self._read()

    def save(self) -> None:
        """Keeps what is; where the store refuses, what it has is taken back. Raises StoreError."""
        try:
            self._store.keep_secret(self._name, json.dumps(asdict(self.state)).encode())
        except BaseException:
            self.state = self._read()
            raise

    def _read(self) -> S:
        stored = self._store.secret(self._name)
        return self._of(**json.loads(stored)) if stored else self._of()
