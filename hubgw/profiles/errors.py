"""Why a profile cannot be had, in words: every reason at once."""

from collections.abc import Iterable

from hubgw.resources.problem import Finding, path_text


class ProfileError(ValueError):
    """Each finding is a line: ``field: what, got value; hint``. None of them shows a secret."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(_line, self.findings)))


def _line(finding: Finding) -> str:
    text = f"{path_text(finding.path)}: {finding.message}"
    if finding.value:
        text += f", got {finding.value}"
    return f"{text}; {finding.hint}" if finding.hint else text
