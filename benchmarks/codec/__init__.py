"""The codec's half: what an event costs, beside what one would write or pick instead."""
