"""`MADJSONEncoder`, as in mad-prefect 2.x."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import uuid
from typing import Any

__all__ = ["MADJSONEncoder"]


class MADJSONEncoder(json.JSONEncoder):
    """Decimals as floats, dates, times and UUIDs as text, with a blank between date and time.

    For a user's own `json.dumps`: assets write JSON by the plugin of that format, which keeps more.
    """

    def default(self, o: Any) -> Any:
        """What stands for a value that JSON does not have. Raises `TypeError` for all others."""
        match o:
            case decimal.Decimal():
                return float(o)
            case dt.datetime():
                return o.isoformat(" ", "microseconds")
            case dt.date() | dt.time():
                return o.isoformat()
            case uuid.UUID():
                return str(o)
        return super().default(o)
