"""Making task folders: from a skeleton, or from a task of MLGym."""
