"""The real kernel, charon and hubgw's agent, with branch devices that hubgw's code never configured."""
