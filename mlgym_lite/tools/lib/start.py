"""Start one of the agent's tools: `python -I -S start.py NAME ARGUMENT...`.

With -I the interpreter ignores the agent's folder and environment, and with -S it looks for no installed packages, so
nothing the agent writes can shadow a module here. This file stays tiny because the started file alone is compiled
anew at each call; the package it hands over to is compiled once, wherever it happens to be mounted.
"""

import sys
from importlib import import_module


def main() -> int:
    """Put the folder that holds this package on the path and run the named tool."""
    folder = __file__.rpartition("/")[0]
    parent, _, package = folder.rpartition("/")
    sys.path.insert(0, parent)
    status: int = import_module(f"{package}.commands").main(sys.argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
