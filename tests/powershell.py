"""A PowerShell script -> the words of each of its lines, as far as hubgw's own scripts go."""

from collections.abc import Iterator
from typing import Final

_QUOTES: Final = "'\u2018\u2019\u201a\u201b"
"""All of them begin and end a string in which nothing is expanded; two of them in it are one."""


class Quoted(str):
    """The value of a string that was in single quotes."""

    __slots__ = ()


def lines(text: str) -> Iterator[list[str]]:
    """Yields each line's words; a comment ends a line, a quoted word is a Quoted, and a string may not be open."""
    words: list[str] = []
    word, at = "", 0
    while at < len(text):
        letter = text[at]
        if letter in _QUOTES:
            value, at = _string(text, at + 1)
            words += [word] if word else []
            words.append(Quoted(value))
            word = ""
            continue
        at += 1
        if letter == "#" and not word:
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
        elif letter.isspace() or letter in "=(){},;":
            words += [word] if word else []
            word = ""
            if letter == "\n":
                yield words
                words = []
        else:
            assert letter not in '"`', "hubgw's scripts expand no string"
            word += letter
    yield words + ([word] if word else [])


def _string(text: str, at: int) -> tuple[str, int]:
    value = ""
    while at < len(text):
        if text[at] not in _QUOTES:
            value += text[at]
        elif at + 1 < len(text) and text[at + 1] in _QUOTES:
            value += text[at]
            at += 1
        else:
            return value, at + 1
        at += 1
    raise AssertionError("a string has no end")
