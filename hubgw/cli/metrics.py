"""`hubgw metrics`: what is counted, as Prometheus reads it."""

import sys

import click

from hubgw.cli import common


@click.command("metrics")
@common.socket_option
def command(socket: str | None) -> None:
    """Tell what is counted, for Prometheus."""
    sys.stdout.write(common.client(socket).text("/metrics"))
