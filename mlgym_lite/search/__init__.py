"""Search over states of an episode: many actions are tried from snapshots, and the best that was validated is handed in."""
