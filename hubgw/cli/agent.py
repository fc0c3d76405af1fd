"""`hubgw agent`: the daemon itself, in the foreground, for systemd or another supervisor."""

from pathlib import Path

import click

from hubgw.cli import common


@click.command("agent")
@click.option("--store", type=click.Path(path_type=Path), default="/var/lib/hubgw/store.db", show_default=True)
@click.option("--socket", metavar="PATH", help="Where to answer; HUBGW_SOCKET means the same.")
@click.option("--vici", default="/run/charon.vici", show_default=True, help="charon's VICI socket.")
@click.option("--run-dir", type=click.Path(path_type=Path), default="/run/hubgw", show_default=True)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--node", metavar="NAME", help="This machine's own node, where the store holds several.")
def command(*, store: Path, socket: str | None, vici: str, run_dir: Path, log_format: str, node: str | None) -> int:
    """Run the agent: keep this machine as the resources say. Stopping it changes nothing in the dataplane."""
    # Imported here: its libraries cost the other verbs their start-up time.
    from hubgw.agent.daemon import Options, main  # noqa: PLC0415

    path = Path(common.socket_path(socket))
    return main(Options(store=store, socket=path, vici=vici, run_dir=run_dir, log_format=log_format, node=node))
