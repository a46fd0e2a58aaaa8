"""How fast the engine is, each number against another side measured in the same run; `python -m benchmarks`."""
