"""Saved Prefect blocks, each loaded anew when it is a minute old, so that rotated credentials are seen."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TypeVar, cast

import httpx
from prefect.blocks.core import Block
from prefect.settings import get_current_settings

__all__ = ["SECONDS", "prefect_account", "saved_block"]

logger = logging.getLogger(__name__)

B = TypeVar("B", bound=Block)

SECONDS = 60.0
"""How long a loaded block is used before the server is asked again."""

_MOST = 64


@dataclass
class _Loaded:
    block: Block
    asked: float


_blocks: OrderedDict[Hashable, _Loaded] = OrderedDict()
_lock = threading.Lock()
_asking = threading.Lock()


def saved_block(kind: type[B], name: str) -> B:
    """The saved block of this name. The server is asked for it again when it is a minute old.

    While one thread asks, the others have the one that was loaded before for another minute at most. A block that has
    not changed stays the same object. Where the server gives no answer, the block that was loaded before stays in use,
    with a warning; a refusal is raised, and so is `ValueError` if there is no block of that name. Blocks the calling
    thread, also that of an event loop.
    """
    key = (kind, name, prefect_account())
    known = _current(key)
    if known is not None and time.monotonic() - known.asked < SECONDS:
        return cast(B, known.block)
    usable = known is not None and time.monotonic() - known.asked < 2 * SECONDS
    if not _asking.acquire(blocking=not usable):
        return cast(B, cast(_Loaded, known).block)
    try:
        known = _current(key)  # another thread may have loaded it meanwhile
        if known is None or time.monotonic() - known.asked >= SECONDS:
            known = _load(kind, name, known)
            _keep(key, known)
        return cast(B, known.block)
    finally:
        _asking.release()


def prefect_account() -> str:
    """A digest that differs where the Prefect server, or the account on it, does."""
    settings = get_current_settings()
    secrets = (settings.api.key, settings.api.auth_string, settings.server.database.connection_url)
    revealed = [secret.get_secret_value() if secret else None for secret in secrets]
    account = repr((settings.api.url, sorted(settings.client.custom_headers.items()), revealed))
    return hashlib.sha256(account.encode()).hexdigest()


def _current(key: Hashable) -> _Loaded | None:
    with _lock:
        return _blocks.get(key)


def _keep(key: Hashable, loaded: _Loaded) -> None:
    with _lock:
        _blocks[key] = loaded
        _blocks.move_to_end(key)
        while len(_blocks) > _MOST:
            _blocks.popitem(last=False)


def _load(kind: type[Block], name: str, known: _Loaded | None) -> _Loaded:
    now = time.monotonic()
    try:
        block = cast(Block, kind.load(name, _sync=True))  # type: ignore[call-arg]
    except Exception as error:
        if known is None or not _unanswered(error):
            raise
        logger.warning(
            "The Prefect server does not answer (%s). The block %r stays in use as it was loaded before.",
            type(error).__name__,
            name,
        )
        return _Loaded(known.block, now)
    return _Loaded(known.block if known is not None and known.block == block else block, now)


def _unanswered(error: BaseException | None) -> bool:
    """Whether the server was not reached or could not answer, in contrast to a refusal."""
    while error is not None:
        if isinstance(error, httpx.HTTPStatusError):
            return error.response.status_code == 429 or error.response.status_code >= 500
        if isinstance(error, httpx.TransportError | OSError):
            return True
        error = error.__cause__
    return False
