"""A template of config-templates/ and values -> text; each value is quoted by the template's language, none by hand."""

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined

Quote = Callable[[str], str]

_PACKAGE: Final = Path(str(files("hubgw")))
# A wheel has the folder inside the package, a source tree beside it.
_PLACES: Final = (_PACKAGE / "config-templates", _PACKAGE.parent / "config-templates")
_WORD: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Word(str):
    """Part of a language rather than a value in it, such as a section's name: letters, digits, _ and - alone."""

    __slots__ = ()

    def __new__(cls, text: str) -> "Word":
        if not _WORD.fullmatch(text):
            raise ValueError("a word has letters, digits, _ and - alone")
        return super().__new__(cls, text)


def fill(template: str, quote: Quote, **values: object) -> str:
    """Returns a template's text. What it puts in between is a Word or is quoted, without its author's doing."""

    def finalize(value: object) -> object:
        return value if isinstance(value, Word | Undefined) else quote(str(value))

    environment = Environment(
        loader=FileSystemLoader(_PLACES),
        undefined=StrictUndefined,
        finalize=finalize,
        autoescape=False,  # noqa: S701 - none of the languages is HTML; `finalize` is what quotes
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
