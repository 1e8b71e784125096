"""Test a client: a scripted server, and what the client's command says that it saw.

Rule: a client is judged by its bytes and its lines alone; docs/conformance-clients.md
is the contract between its command and these modules.

process    the client's command: started, read, ended
lines      what it must say about each frame
script     the scripted server
peer       it, and a client's command: what a case can do and await
cases/     the catalogue
doctor     is the command itself right? step by step
run        one attempt of a case, a whole run
commands   the command line
"""
