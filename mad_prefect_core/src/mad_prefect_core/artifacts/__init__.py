"""Artifacts: files of data, how they come to be, and SQL over them."""

from mad_prefect_core.artifacts.artifact import DataArtifact
from mad_prefect_core.artifacts.collector import DataArtifactCollector
from mad_prefect_core.artifacts.query import DataArtifactQuery

__all__ = ["DataArtifact", "DataArtifactCollector", "DataArtifactQuery"]
