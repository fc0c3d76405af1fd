"""strongSwan's language of settings -> nested mappings, as its own lexer and parser read it, without `include`."""

import re
from typing import Any, Final

_TOKEN: Final = re.compile(
    r'(?P<space>[ \t\r]+|#[^\n]*)|(?P<mark>[{}\n=])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<name>[^#{}="\r\n\t ]+)', re.DOTALL
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\n": ""}


def parse(text: str) -> dict[str, Any]:
    """Returns the sections and values."""
    tokens = [found for found in _tokens(text) if found[0] != "space"]
    top: dict[str, Any] = {}
    stack, at = [top], 0
    while at < len(tokens):
        kind, token = tokens[at]
        at += 1
        if token == "\n":
            continue
        if token == "}" and kind == "mark":
            stack.pop()
            continue
        assert kind == "name", f"{token!r} where a name is expected"
        while tokens[at][1] == "\n" and tokens[at][0] == "mark":
            at += 1
        assert tokens[at][0] == "mark", f"{tokens[at][1]!r} after a name"
        if tokens[at][1] == "{":
            section: dict[str, Any] = {}
            assert token not in stack[-1], f"{token} is there twice"
            stack[-1][token] = section
            stack.append(section)
            at += 1
            continue
        assert tokens[at][1] == "="
        value, at = _value(tokens, at + 1)
        stack[-1][token] = value
    assert len(stack) == 1, "a section has no end"
    return top


def _value(tokens: list[tuple[str, str]], at: int) -> tuple[str, int]:
    parts = []
    while at < len(tokens) and tokens[at][1] not in {"\n", "}"}:
        kind, token = tokens[at]
        parts.append(_unquoted(token) if kind == "string" else token)
        at += 1
    return " ".join(parts), at


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token[1:-1], flags=re.DOTALL)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match and match.lastgroup, f"no token at {text[at : at + 20]!r}"
        found.append((match.lastgroup, match[0]))
        at = match.end()
    return found
