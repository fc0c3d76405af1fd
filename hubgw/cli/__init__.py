"""The command line: speaks HTTP to the agent's socket. Light to start: heavy libraries are for `agent` and `init`."""
