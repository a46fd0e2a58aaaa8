"""`python -m mlgym_lite` is the command `mlgym-lite`."""

from mlgym_lite.cli.main import main

if __name__ == "__main__":
    main()
