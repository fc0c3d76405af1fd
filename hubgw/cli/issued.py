"""What hubgw's own authorities issued and revoked -> what `pki`, `user` and `profile` tell of it."""

from collections.abc import Iterable, Mapping
from typing import Any

from hubgw.cli.output import as_json, line, moment


def tell_issued(told: Mapping[str, Any], *files: str, for_programs: bool) -> None:
    """Tells which certificate was `issued`, the files that were written, and the `password` where one was made: it is
    shown this once."""
    if for_programs:
        as_json(told)
        return
    one = told["issued"]
    line(f"{one['subject']}, serial {one['serial']}, until {moment(one['notAfter'])}: {' '.join(files)}")
    if "password" in told:
        line(f"password: {told['password']}")


def tell_revoked(revoked: Iterable[Mapping[str, Any]]) -> None:
    """Tells which certificates were revoked."""
    for one in revoked:
        line(f"{one['subject']}, serial {one['serial']}: revoked")


def revoked_at(one: Mapping[str, Any]) -> str:
    """Returns when a certificate was revoked, as a cell of a table."""
    return "" if one["revoked"] is None else moment(one["revoked"])
