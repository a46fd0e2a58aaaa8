"""Says what the agent's strategy.py does; runs apart from the judge."""

import sys

import mlgym_player

sys.path.insert(0, ".")
import strategy

mlgym_player.serve(lambda message: list(strategy.allocation()))
