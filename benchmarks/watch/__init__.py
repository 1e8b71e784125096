"""What it costs to stand between a client and a server."""
