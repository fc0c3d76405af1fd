"""What is wrong with a configuration, as it is shown: value, hint, path, place. No secret's value gets in here."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from hubgw.names import Secret

Path = tuple[str | int, ...]
"""Where a value stands in a document: ``("properties", "vpnSiteLinks", 0, "name")``."""

Place = tuple[str, int]
"""A file and a line in it; line 0 is the file as a whole, and ``("(stored)", 0)`` what the store holds."""

STORED: Final[Place] = ("(stored)", 0)
SHOWN_LENGTH: Final = 80

SECRETS: Final = frozenset({"sharedKey", "siteKey", "bgpPassword", "privateKey", "password", "radiusServerSecret"})
"""Fields whose values are never shown, nor given out unasked."""

LONG: Final = frozenset({"certificate", "certificateAuthorities", "revocationLists"})
"""Fields of PEM: nobody reads it, and a private key may have slipped in."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_.<-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one value of a document whose place is not known here. `value` may be shown, or is empty."""

    path: Path
    message: str
    value: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of a configuration; as text: ``file:line: dotted.path: message, got value; hint``."""

    file: str
    line: int
    path: str
    message: str
    value: str = ""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{place_text((self.file, self.line))}: "
        if self.path:
            text += f"{self.path}: "
        text += self.message
        if self.value:
            text += f", got {self.value}"
        return f"{text}; {self.hint}" if self.hint else text

    @staticmethod
    def at(place: Place, finding: Finding) -> "Problem":
        return Problem(*place, path_text(finding.path), finding.message, finding.value, finding.hint)


def place_text(place: Place) -> str:
    """Returns ``file:line``, or the file alone where there is no line."""
    file, line = place
    return f"{file}:{line}" if line else file


def path_text(path: Path) -> str:
    """Returns the dotted path.

    >>> path_text(("properties", "vpnSiteLinks", 0, "name"))
    'properties.vpnSiteLinks[0].name'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shown_key(part)}" if text else shown_key(part)
    return text


def shown(value: Any, path: Path = ()) -> str:
    """Returns a value as text that may be shown: cut, escaped, and never a secret or what may hold one."""
    if isinstance(value, Secret) or not SECRETS.isdisjoint(path):
        return "***"
    if isinstance(value, dict | list | tuple) or not LONG.isdisjoint(path):
        return kind_of(value)
    if value is None:
        return "nothing"
    text = json.dumps(value if isinstance(value, bool | int | float | str) else str(value))
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 3]}..."


def kind_of(value: Any) -> str:
    """Names the kind of a value without showing it.

    >>> kind_of({}), kind_of("x")
    ('a mapping', 'text')
    """
    match value:
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case str():
            return "text"
        case bool():
            return "true or false"
        case None:
            return "nothing"
        case _:
            return "a number"


def shown_key(name: str) -> str:
    """Returns a mapping's key for a path; one that is no word is not shown, since a secret may have slipped in."""
    return name if _PLAIN_KEY.fullmatch(name) else "(a key that is no field's name)"


def nearest(word: str, words: Iterable[str]) -> str:
    """Returns ``did you mean X?``, or nothing where no word is near."""
    lower = {one.lower(): one for one in words}
    found = get_close_matches(word.lower(), lower, n=1)
    return f"did you mean {lower[found[0]]}?" if found else ""
