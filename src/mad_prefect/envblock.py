"""`EnvBlock`, as in mad-prefect 2.x."""

from mad_prefect_core.prefect_support.envblock import EnvBlock

__all__ = ["EnvBlock"]
