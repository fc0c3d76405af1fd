"""Keys, certificates and revocation lists as text in and out: no I/O, no clock, and no word of what they are for."""
