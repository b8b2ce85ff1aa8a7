"""Waits at import for what never comes."""

import threading

threading.Event().wait()
