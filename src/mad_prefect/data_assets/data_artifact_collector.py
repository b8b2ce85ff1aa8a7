"""`DataArtifactCollector`, as in mad-prefect 2.x."""

from mad_prefect_core.artifacts import DataArtifactCollector

__all__ = ["DataArtifactCollector"]
