"""Many episodes: a bench file, its plan, and what carries it out."""
