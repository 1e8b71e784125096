"""What talks to a server from a shell."""
