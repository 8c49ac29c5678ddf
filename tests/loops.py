"""Close what a test's server has accepted in the very moment in which its loop ended.

Nobody can wait for such a connection: the server is closed, and whoever came does not matter any more. Left open, it
fails whichever test runs when the garbage is collected, minutes later. What our code opens itself is not touched.
"""

from __future__ import annotations

from asyncio.selector_events import BaseSelectorEventLoop
from typing import Any

import pytest

_close = BaseSelectorEventLoop.close


def pytest_configure(config: pytest.Config) -> None:
    """Begin to close them."""
    BaseSelectorEventLoop.close = _close_accepted  # type: ignore[method-assign]


def _close_accepted(loop: Any) -> None:
    if not loop.is_closed() and not loop.is_running():
        for transport in list(loop._transports.values()):
            if transport._server is not None and transport._sock is not None:
                transport._sock.close()
                transport._sock, transport._closing = None, True
    _close(loop)
