"""What the two packages cost, measured side by side with what one would pick instead.

Rule: a figure is published only with the run that printed it: medians of
interleaved runs, their spread, and the machine they were taken on.
"""
