"""One room on several servers: what it costs beside one server, and what Redis has of it."""
