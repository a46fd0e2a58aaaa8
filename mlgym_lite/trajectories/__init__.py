"""Run directories as other systems' trajectories."""
