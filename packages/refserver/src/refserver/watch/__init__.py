"""Watch conversations: take them in, judge them, write them down.

Rule: nothing here says a word on the wire by itself. A conversation is the two byte streams of
one connection; where it comes from, and what is made of it, know nothing of each other.

Layer: above the conformance kit, whose statements it names; below the command line.
"""
