"""JSON, as in mad-prefect 2.x."""
