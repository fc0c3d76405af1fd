"""The nftables driver: the one table of hubgw, constant rules whose variable part is elements of sets and maps."""
