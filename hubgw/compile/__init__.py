"""Resources and node -> the Plan of one machine. Pure: no clock, no memory, no kernel, no I/O."""
