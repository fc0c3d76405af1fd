"""hubgw: a self-hosted Virtual WAN hub on Linux."""

__version__ = "0.1.0"
