"""I/O with the kernel and the daemons, a folder each: client (the only file that touches the library or socket), codec
(sans I/O: wire <-> plan types), driver (observe, apply)."""
