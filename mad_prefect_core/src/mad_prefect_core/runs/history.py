"""The earlier runs of an asset as versions of its data: to look at, go back to, pin and prune."""

from __future__ import annotations
