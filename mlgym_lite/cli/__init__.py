"""The command line, a thin front over the Python API."""
