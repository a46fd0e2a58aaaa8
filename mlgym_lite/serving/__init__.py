"""One task served to programs elsewhere."""
