"""Servers that say what no real one would."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def speaking(speak: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that speaks so on each connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 2**10)
    held = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection = listening.accept()[0]
                held.append(connection)
                threading.Thread(target=speak, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
        for connection in held:
            connection.close()
