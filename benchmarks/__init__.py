"""How fast mad-prefect is, against mad-prefect 2.3.0 and against the libraries that it stands on. `./dev bench`."""
