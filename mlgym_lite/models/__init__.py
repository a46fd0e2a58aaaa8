"""Language models: what agents ask for the next reply."""
