"""Files a person writes, read and checked: tasks, sandbox profiles, and the settings of one run."""
