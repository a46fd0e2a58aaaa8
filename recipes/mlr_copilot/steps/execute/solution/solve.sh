# The strategy as it is.
