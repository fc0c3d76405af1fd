"""`hubgw`: the verbs, each loaded when it is used, and the one place where an error becomes a line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from hubgw import __version__
from hubgw.cli.exits import HELP, Code, Fail
from hubgw.cli.output import note

VERBS = (
    "agent",
    "apply",
    "completion",
    "delete",
    "effective-routes",
    "events",
    "init",
    "metrics",
    "pki",
    "plan",
    "preflight",
    "profile",
    "show",
    "user",
)

_NAME = "hubgw"
_COMPLETE = "_HUBGW_COMPLETE"


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"hubgw.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.group(
    cls=_Verbs, epilog=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--socket", metavar="PATH", envvar="HUBGW_SOCKET", help="The agent's Unix socket; also HUBGW_SOCKET.")
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, socket: str | None) -> None:
    """A self-hosted Virtual WAN hub: declare it in Azure's words, and have it on this machine."""
    context.obj = socket


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb and returns the exit code; whatever a user can cause ends in lines on stderr, never in a trace."""
    try:
        if _COMPLETE in os.environ:
            cli.main(prog_name=_NAME, complete_var=_COMPLETE)
        # Not cli.main: it ends by itself, with codes of its own, where nobody reads or someone interrupts.
        with cli.make_context(_NAME, list(sys.argv[1:] if arguments is None else arguments)) as context:
            result = cli.invoke(context)
        sys.stdout.flush()
    except Fail as fail:
        for text in fail.lines:
            note(text)
        return fail.code
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return Code.USAGE
    except (click.Abort, KeyboardInterrupt):
        note("interrupted")
        return Code.INTERRUPTED
    except BrokenPipeError:
        # What is left in the buffer would be written, and fail, once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Code.PIPE
    return result if isinstance(result, int) else Code.OK


def main() -> None:
    """The entry point of the program `hubgw`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run())


if __name__ == "__main__":
    main()
