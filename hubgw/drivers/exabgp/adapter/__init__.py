"""ExaBGP as a process of ours: its sessions, the helper at a socket instead of a pipe, and one loop for all of them."""
