"""What mad-prefect brings to Prefect. Importing this package does not import Prefect; its modules may."""
