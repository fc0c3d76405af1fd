"""`hubgw completion`: the script that teaches a shell to complete our verbs and options."""

import click
from click.shell_completion import get_completion_class

from hubgw.cli.exits import Code, Fail
from hubgw.cli.output import line


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    For example: source <(hubgw completion bash).
    """
    script = get_completion_class(shell)
    if script is None:
        raise Fail(Code.USAGE, [f"completion: this version of click knows no {shell}"])
    for text in script(context.find_root().command, {}, "hubgw", "_HUBGW_COMPLETE").source().splitlines():
        line(text.replace("\t", "    "))
