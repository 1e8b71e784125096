"""The reference server and conformance kit for Event Protocol 1."""
