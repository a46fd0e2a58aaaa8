"""Making task folders: new ones, and those that come from other systems."""
