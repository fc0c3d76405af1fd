"""Adj-RIB-In -> policy -> best path per route table -> FIB and Adj-RIB-Out, as deltas per prefix. Pure."""
