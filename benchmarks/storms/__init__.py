"""How long others wait while hostile clients flood a server."""
