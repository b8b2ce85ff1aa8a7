"""Computes at import for ever."""

while True:
    pass
