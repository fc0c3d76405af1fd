"""hubgw: a self-hosted Virtual WAN hub on Linux."""
