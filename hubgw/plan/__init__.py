"""Device words: what one machine's kernel and daemons hold, wanted or seen, in the same types."""
