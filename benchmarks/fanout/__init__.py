"""The server's half: one core fans out, the other generates load and counts."""
