"""What mad-prefect brings to Prefect. Importing this package does not import Prefect; its modules may."""

from __future__ import annotations

__all__ = ["saved_block_account"]


def saved_block_account(block: object) -> str | None:
    """The Prefect server and account that a saved block is loaded from, as a digest, if an option names one.

    The same name means another block elsewhere, so a cache of clients counts this in. None for anything but a name.
    """
    if not isinstance(block, str):
        return None
    from mad_prefect_core.prefect_support.saved import prefect_account  # noqa: PLC0415  Prefect takes a second to import

    return prefect_account()
