"""YAML files -> resources, with every problem and the place of every field. Pure: the caller has read the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from hubgw.resources.base import Resource
from hubgw.resources.ids import singular
from hubgw.resources.parse import parse
from hubgw.resources.problem import STORED, Finding, Path, Place, Problem, kind_of, place_text
from hubgw.resources.stream import Budget, Document, SyntaxProblem, documents

_EMPTY: Final = "is empty"


@dataclass(frozen=True, slots=True)
class _Slice:
    """Where a document is. It is read again when a line of it is asked for: to keep the lines of thousands of sites
    alive costs the garbage collector more than the rest of loading."""

    file: str
    text: str
    first_line: int
    start: int
    end: int

    def place(self, path: Path) -> Place:
        again = next(documents(self.text[self.start : self.end], Budget(), self.first_line))
        return self.file, again.line(path)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The resources without an error of their own, all problems, and where everything stands."""

    resources: tuple[Resource, ...]
    problems: tuple[Problem, ...]
    slices: Mapping[str, _Slice] = field(repr=False)

    def where(self, key: str, path: Path = ()) -> Place:
        """Returns the place of a field of the resource with this key, or of the nearest field around it.

        A key that no file has is ``("(stored)", 0)``.
        """
        return self.slices[key].place(path) if key in self.slices else STORED


@dataclass(slots=True)
class _Reading:
    problems: list[Problem] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
    slices: dict[str, _Slice] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)


def load(sources: Sequence[tuple[str, bytes]]) -> Loaded:
    """Turns files, each a name and its bytes, into resources. Never raises for what a file holds."""
    reading = _Reading()
    for file, content in sources:
        _read(file, content, reading)
    return Loaded(tuple(reading.resources.values()), tuple(reading.problems), MappingProxyType(reading.slices))


def _read(file: str, content: bytes, reading: _Reading) -> None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(file, line, "", "is not UTF-8", f"the byte 0x{content[error.start]:02x}", "save it as UTF-8")
        reading.problems.append(problem)
        return
    count = 0
    try:
        for document in documents(text, reading.budget):
            count += 1
            _read_document(file, text, document, reading)
    except SyntaxProblem as error:
        reading.problems.append(Problem(file, error.line, "", str(error), hint=error.hint))
        return
    if count == 0:
        reading.problems.append(Problem(file, 0, "", _EMPTY, hint="write at least one document of type and name"))


def _read_document(file: str, text: str, document: Document, reading: _Reading) -> None:
    findings = document.findings
    content = document.value
    if isinstance(content, dict):
        parsed = parse(content)
        unread = {finding.path for finding in findings}
        findings.extend(finding for finding in parsed.findings if finding.path not in unread)
        if parsed.target is not None:
            key = parsed.target.key
            if key in reading.slices:
                first = place_text(reading.slices[key].place(("name",)))
                named = f"{singular(parsed.target.type)} {'/'.join(parsed.target.names)}"
                findings.append(Finding(("name",), f"{named} is declared twice", hint=f"first at {first}"))
            else:
                reading.slices[key] = _Slice(file, text, document.line(()), document.start, document.end)
            if parsed.resource is not None and not findings:
                reading.resources[key] = parsed.resource
    elif content is None and not findings:
        findings.append(Finding((), _EMPTY, hint="remove the --- before or after it"))
    elif not findings:
        findings.append(Finding((), "expected a mapping of type, name and properties", kind_of(content)))
    problems = [Problem.at((file, document.line(finding.path)), finding) for finding in findings]
    reading.problems.extend(sorted(problems, key=lambda problem: problem.line))
