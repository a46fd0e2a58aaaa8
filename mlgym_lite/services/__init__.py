"""What the engine does for an agent beyond scoring: notes, papers, pictures."""
