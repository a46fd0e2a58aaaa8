"""Runs the agent's strategy.py at the judge's request, in the player's sandbox; nothing hidden may be in this file."""

import importlib.util
import sys
from pathlib import Path

from mlgym_player import serve


def load(path):
    """Return the agent's file as a module, without putting its folder on the import path."""
    specification = importlib.util.spec_from_file_location("strategy", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["strategy"] = module
    specification.loader.exec_module(module)
    return module


def moves(histories):
    """YOURS: answer one message of the judge; what is returned must be JSON (and may hold bytes)."""
    strategy = sys.modules.get("strategy") or load(Path("strategy.py").resolve())
    return [strategy.move(history) for history in histories]


if __name__ == "__main__":
    serve(moves)
