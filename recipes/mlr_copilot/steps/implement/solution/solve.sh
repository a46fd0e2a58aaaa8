# The plan is to leave the strategy as it is.
