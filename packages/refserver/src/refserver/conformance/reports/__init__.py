"""One report, told in several ways: on the console, as JSON, JUnit XML, Markdown and HTML.

Rule: each of these reads a `Report` and nothing else, so that what was run elsewhere,
or merged, is told alike.

Layer: above `model` and `annotate`.
"""
