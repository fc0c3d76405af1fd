"""BGP sessions: an ExaBGP a gateway instance, a helper beside it with Adj-RIB-In, and the agent's side of both."""
