"""One room on several nodes: the log is a stream of Redis, and each node has a copy."""
