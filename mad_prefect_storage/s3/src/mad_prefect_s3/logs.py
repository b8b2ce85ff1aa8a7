"""botocore logs whole requests at DEBUG, keys and session tokens in their headers: here they are taken out."""

from __future__ import annotations

import logging
import re

__all__ = ["hide_keys"]

_LOGGERS = ("aiobotocore.endpoint", "aiobotocore.httpsession", "botocore.auth", "botocore.endpoint", "botocore.hooks")
_TOKEN = re.compile(r"(x-amz-security-token['\"]?\s*[:=]\s*b?['\"]?)[^'\"\s,;&]+", re.IGNORECASE)
_KEY = re.compile(r"(Credential=)[^/%\s]+")


def hide_keys() -> None:
    """Have the loggers of botocore show no access key and no session token. Doing it again does nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_hide)


def _hide(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    shown = _KEY.sub(r"\1***", _TOKEN.sub(r"\1***", message))
    if shown != message:
        record.msg, record.args = shown, None
    return True
