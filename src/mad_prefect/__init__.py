"""The import surface of mad-prefect 2.x, over `mad_prefect_core`: re-exports, no logic."""
