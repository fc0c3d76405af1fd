"""Where resources live: immutable generations, one head, and the numbers that kernel objects are named by."""
