"""What object stores have in common. A storage for one is an `ObjectClient`, which asks its server; all else is here:
requests that are sent again, uploads in parts, compare-and-swap, reads of one version, and what fsspec and DuckDB want.
"""
