"""A YAML text -> documents of plain values, with the line of every field. Knows no resource.

Scalars follow YAML 1.2 (``yes`` is text, ``true`` is not; no dates, no base 60): YAML 1.1 guesses, and turns names and
addresses into other things. PyYAML's parser gives the events, in C where it can. Its composer is not used: the one in C
recurses without a bound, and ends the process on a text of 100,000 brackets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from hubgw.resources.problem import Finding, Path

MAX_VALUES: Final = 2_000_000
"""Values of all files with aliases expanded: a few aliases of aliases would else fill the memory."""
MAX_DEPTH: Final = 32

_INT: Final = re.compile(r"[-+]?[0-9]{1,20}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_CONSTANTS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_QUOTED: Final = re.compile(r" '[^' ]{2,}'| \"[^\" ]{2,}\"")

_Parser: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SyntaxProblem(Exception):  # noqa: N818 - it is caught and shown, not raised to the caller of load
    """The text is no YAML, or more than is read of one. The text of it quotes nothing that may be a secret."""

    def __init__(self, line: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint


@dataclass(slots=True)
class Budget:
    """How many values were read, of all that may be."""

    values: int = 0


@dataclass(slots=True)
class Document:
    """One document: its value, what is wrong with it as YAML, the lines of its fields, and where in the text it is."""

    value: Any = None
    findings: list[Finding] = field(default_factory=list)
    lines: dict[Path, int] = field(default_factory=dict)
    start: int = 0
    end: int = 0

    def line(self, path: Path) -> int:
        """Returns the line of a field, or of the nearest field around it if it is absent."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def documents(text: str, budget: Budget, first_line: int = 1) -> Iterator[Document]:
    """Yields the documents of a text whose first line has this number. Raises SyntaxProblem."""
    parser = None
    try:
        parser = _Parser(text)
        while parser.check_event():
            if isinstance(parser.get_event(), yaml.DocumentStartEvent):
                yield _Builder(parser, budget, first_line).document()
    except yaml.YAMLError as error:
        raise _syntax_problem(text, error, first_line) from None
    finally:
        if parser is not None:
            parser.dispose()


def _syntax_problem(text: str, error: yaml.YAMLError, first_line: int) -> SyntaxProblem:
    """In PyYAML's words, less what it quotes: after an unlucky ``*`` or ``!`` that is the secret itself."""
    words = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = getattr(error, "position", None)
    line = mark.line if mark else text.count("\n", 0, position) if isinstance(position, int) else 0
    if "\t" in "".join(text.splitlines()[line : line + 1]):
        return SyntaxProblem(first_line + line, "is not YAML: a tab", "indent with spaces")
    message = f"is not YAML: {_QUOTED.sub('', words)}"
    return SyntaxProblem(first_line + line, message, "quote text that has : # * & ! in it")


class _Builder:
    """The events of one document -> its values."""

    def __init__(self, parser: Any, budget: Budget, first_line: int) -> None:
        self._parser = parser
        self._budget = budget
        self._first_line = first_line
        self._document = Document()
        self._anchors: dict[str, tuple[Any, int]] = {}

    def document(self) -> Document:
        document = self._document
        root = self._parser.get_event()
        mark = root.start_mark
        document.lines[()] = self._first_line + mark.line
        document.start = mark.index - mark.column
        document.value = self._value(root, ())
        document.end = self._parser.get_event().start_mark.index
        return document

    def _value(self, event: Any, path: Path) -> Any:
        before = self._budget.values
        self._budget.values += 1
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, path)
        if event.tag not in (None, "!"):
            self._find(path, "YAML tags are not supported", "quote text that starts with !")
        if len(path) > MAX_DEPTH:
            line = self._first_line + event.start_mark.line
            raise SyntaxProblem(line, f"is more than {MAX_DEPTH} levels deep", "")
        if isinstance(event, yaml.ScalarEvent):
            value = _plain(event.value) if event.implicit[0] else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            value = self._mapping(path)
        self._check_budget(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._budget.values - before
        return value

    def _aliased(self, event: Any, path: Path) -> Any:
        if event.anchor not in self._anchors:
            self._find(path, "an alias of an anchor that is not there", "quote text that starts with *")
            return None
        value, size = self._anchors[event.anchor]
        self._budget.values += size
        self._check_budget(event)
        return value

    def _check_budget(self, event: Any) -> None:
        if self._budget.values > MAX_VALUES:
            message = f"more than {MAX_VALUES} values, aliases expanded"
            raise SyntaxProblem(self._first_line + event.start_mark.line, message, "split it, or use fewer aliases")

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._parser.get_event(), yaml.SequenceEndEvent):
            here = (*path, len(items))
            self._document.lines[here] = self._first_line + event.start_mark.line
            items.append(self._value(event, here))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while not isinstance(event := self._parser.get_event(), yaml.MappingEndEvent):
            line = self._first_line + event.start_mark.line
            if not isinstance(event, yaml.ScalarEvent):
                raise SyntaxProblem(line, "a key of a mapping is text", "quote text that has { [ or * in it")
            key = event.value
            here = (*path, key)
            if key in made:
                self._value(self._parser.get_event(), here)
                first = self._document.lines[here]
                self._document.lines[here] = line
                self._find(here, "the key is there twice", f"first in line {first}")
                continue
            self._document.lines[here] = line
            made[key] = self._value(self._parser.get_event(), here)
        return made

    def _find(self, path: Path, message: str, hint: str) -> None:
        self._document.findings.append(Finding(path, message, hint=hint))


def _plain(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
