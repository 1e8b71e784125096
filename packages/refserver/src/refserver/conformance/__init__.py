"""The conformance kit: tests any server, any client, any codec of Event Protocol 1.

Rule: it sees eventcodec's public face and the network, and nothing of the server that
it ships with.

annotate       bytes with the names of their fields
model          what a case, a result and a run are
statements     the specification's numbered sentences
segmentation   one stream of bytes, cut in several ways
suite          cases in order: prerequisites, second tries, expected failures
reports/       the same results for people, scripts, CI and browsers
"""
