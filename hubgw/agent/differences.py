"""Two states of one resource's JSON -> what differs, in words. Must never show a secret."""

from collections.abc import Iterator, Mapping
from typing import Final

from hubgw.agent.references import words

_UNSAID: Final = frozenset(
    {
        "sharedKey",
        "bgpPassword",
        "privateKey",
        "password",
        "radiusServerSecret",
        "certificate",
        "certificateAuthorities",
        "revocationLists",
    }
)
"""Secrets, and PEM, which nobody reads."""

_SERVER: Final = "radiusServerAddress"
"""What tells the items of a list apart that have no name."""

_FEW: Final = 4  # values of a list that are shown whole, before and after

Values = tuple[str, ...]


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Says each field that differs, by its dotted path without the `properties` that Azure puts between.

    >>> differences({"properties": {"a": {"b": ["x", "y"]}}}, {"properties": {"a": {"b": ["x", "z"]}}})
    ['a.b: x, y -> x, z']
    """
    before, after = dict(fields(old)), dict(fields(new))
    paths = [*before, *(path for path in after if path not in before)]
    return [
        f"{path}: {_say(path, before.get(path, ()), after.get(path, ()))}"
        for path in paths
        if before.get(path) != after.get(path)
    ]


def _say(path: str, old: Values, new: Values) -> str:
    if path.rpartition(".")[2] in _UNSAID:
        return "set" if not old else "changed" if new else "removed"
    if max(len(old), len(new)) <= _FEW:
        return f"{', '.join(old) or 'none'} -> {', '.join(new) or 'none'}"
    added, removed = [item for item in new if item not in old], [item for item in old if item not in new]
    parts = (f"{what} {', '.join(items)}" for what, items in (("added", added), ("removed", removed)) if items)
    return "; ".join(parts) or "in another order"


def fields(value: object, path: str = "") -> Iterator[tuple[str, Values]]:
    """Yields each field's dotted path and its values in words. A secret's are its own: not to be shown."""
    match value:
        case {"id": str(), **rest} if path and not rest:
            yield path, (_one_line(value),)
        case Mapping():
            for name, item in value.items():
                # A part's id and type follow from its name.
                if name not in {"id", "type"} or "name" not in value:
                    yield from fields(item, path if name == "properties" else f"{path}.{name}" if path else str(name))
        case list() if value and all(isinstance(item, Mapping) and "name" in item for item in value):
            for item in value:
                unnamed = {name: inner for name, inner in item.items() if name not in {"id", "type", "name"}}
                yield from fields(unnamed, f"{path}.{item['name']}")
        case list() if value and all(isinstance(item, Mapping) and _SERVER in item for item in value):
            for item in value:
                yield from fields(
                    {name: inner for name, inner in item.items() if name != _SERVER}, f"{path}.{item[_SERVER]}"
                )
        case list():
            if value:
                yield path, tuple(map(_one_line, value))
        case None:
            pass
        case _:
            yield path, (_one_line(value),)


def _one_line(value: object) -> str:
    match value:
        case {"id": str(target), **rest} if not rest:
            return words(target)
        case Mapping():
            return f"({' '.join(f'{name} {_one_line(item)}' for name, item in value.items() if item is not None)})"
        case list():
            return f"[{' '.join(map(_one_line, value))}]"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
