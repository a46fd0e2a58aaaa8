"""The way from a sandbox's loopback to the engine's proxy; the sandbox sees this folder as /opt/mlgym/network."""
