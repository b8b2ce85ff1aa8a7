"""Subclasses of classes that 2.x had: what they override is called, or refused where the class is made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from mad_prefect_core.errors import OverrideError

__all__ = ["refuse_uncalled"]


def refuse_uncalled(cls: type, base: type, uncalled: Mapping[str, str]) -> None:
    """Raise `OverrideError` for a name in a subclass that 2.x called and nothing calls any more.

    Args:
        cls: The subclass.
        base: The class of ours that it inherits from.
        uncalled: Those names, each with what to do instead.
    """
    annotations = inspect.get_annotations(cls)
    for name, instead in uncalled.items():
        if name in cls.__dict__ or name in annotations:
            raise OverrideError(
                f"{cls.__qualname__} overrides {base.__name__}.{name}, which nothing calls since version 3",
                hint=instead,
            )
