"""Run directories looked at: one by one in the viewer, many in a report."""
