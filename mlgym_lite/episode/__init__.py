"""The engine: one episode from reset to a score, its record on disk, grading, and replay."""
