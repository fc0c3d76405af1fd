"""What several verbs have in common: the agent's socket, files, a question before something goes."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from hubgw.cli.client import DEFAULT_SOCKET, Client
from hubgw.cli.exits import Code, Fail
from hubgw.cli.output import line, note

F = TypeVar("F", bound=Callable[..., Any])


def socket_option(verb: F) -> F:
    """`--socket`, on the verb; before the verb or in HUBGW_SOCKET it means the same."""
    return click.option("--socket", metavar="PATH", help="The agent's Unix socket.")(verb)


def files_option(required: bool) -> Callable[[F], F]:
    """`-f FILE`, as often as wanted."""
    text = "A YAML file of resources; - is stdin. May be given several times."
    return click.option("-f", "--file", "files", metavar="FILE", multiple=True, required=required, help=text)


json_option = click.option("--json", "as_json_", is_flag=True, help="Answer for programs.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def socket_path(given: str | None) -> str:
    """The socket as given after the verb, before it, in the environment, or the usual one."""
    context = click.get_current_context(silent=True)
    return given or (context.obj if context and isinstance(context.obj, str) else "") or DEFAULT_SOCKET


def client(given: str | None) -> Client:
    """Returns the client of the agent."""
    return Client(socket_path(given))


def confirm(question: str, going: Sequence[str], *, yes: bool) -> None:
    """Shows what goes and asks.

    Raises:
        Fail: nobody can be asked, or the answer is no.
    """
    if yes:
        return
    for item in going:
        note(f"  {item}")
    if not sys.stdin.isatty():
        raise Fail(Code.USAGE, [f"{question} nobody can be asked; give --yes where that is meant"])
    if not click.confirm(question, err=True):
        raise Fail(Code.REFUSED, ["nothing was changed"])


def report(applied: dict[str, Any]) -> None:
    """Shows what an apply or a delete did."""
    for change in applied["changes"]:
        line(change)
    if applied["plan"]:
        line()
        for step in applied["plan"]:
            line(f"  {step}")
    if not applied["changes"] and not applied["plan"]:
        line("no change")
