"""`DataArtifactQuery`, as in mad-prefect 2.x."""

from mad_prefect_core.artifacts import DataArtifactQuery

__all__ = ["DataArtifactQuery"]
