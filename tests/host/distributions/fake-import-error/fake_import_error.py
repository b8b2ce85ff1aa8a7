"""Fails at import."""

raise RuntimeError("libnotes.so is missing")
