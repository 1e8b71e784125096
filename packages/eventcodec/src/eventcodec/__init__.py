"""A sans-I/O, typed, length-prefixed binary codec for Event Protocol 1."""
