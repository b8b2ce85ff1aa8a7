"""`DataArtifact`, as in mad-prefect 2.x."""

from mad_prefect_core.artifacts import DataArtifact

__all__ = ["DataArtifact"]
