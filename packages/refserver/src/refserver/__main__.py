"""`python -m refserver`: the command line without its script.

Rule: nothing but the call.

Layer: above `cli`.
"""

from .cli import main

main(prog_name="refserver")
