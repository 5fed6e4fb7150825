"""ETSI GS QKD 020's asynchronous form: accepted at once, acknowledged by a call to who asked.

A key manager that names an `ack_callback_url` gets 202 as soon as its request is understood. What
became of it is posted to that address afterwards, over TLS to the same key manager: an address
that is not the one in the network file is refused, so that nobody has us call elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from qnx_hw.errors import QnxError, RequestRefused
from qnx_hw.keys.delivery.peer020 import TlsPeer

log = logging.getLogger(__name__)

MOST_WAITING = 64
"""Accepted requests that wait; more are refused, and nothing of them is kept."""
LONGEST_URL = 1024
TRIALS = 3
PAUSE_S = 1.0
"""Between trials to post an acknowledgement; who asked has to ask again or void after that."""

Work = Callable[[], Awaitable[bytes]]
"""Does what was asked and returns the acknowledgements."""


class Callbacks:
    """Does accepted requests one after the other, and posts their acknowledgements."""

    def __init__(
        self, addresses: Mapping[str, tuple[str, int]], tls: Callable[[], ssl.SSLContext]
    ) -> None:
        """Call key managers at their `addresses`, by node, with the certificate of `tls`."""
        self._addresses = addresses
        self._tls = tls
        self._waiting: asyncio.Queue[tuple[str, bytes, Work]] = asyncio.Queue(MOST_WAITING)

    def accept(self, peer: str, url: str, work: Work) -> None:
        """Have something done and acknowledged; `RequestRefused` where that cannot be."""
        path = self._path(peer, url)
        try:
            self._waiting.put_nowait((peer, path, work))
        except asyncio.QueueFull:
            raise RequestRefused("server-side-general-error", 503) from None

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            peer, path, work = await self._waiting.get()
            acks = await work()
            for _ in range(TRIALS):
                try:
                    await self._post(peer, path, acks)
                    break
                except QnxError as error:
                    log.debug("'%s' took no acknowledgement: %s", peer, error)
                    await asyncio.sleep(PAUSE_S)

    async def _post(self, peer: str, path: bytes, acks: bytes) -> None:
        way = await TlsPeer.open(*self._addresses[peer], self._tls(), peer)
        try:
            await way.post(path, acks)
        finally:
            way.close()

    def _path(self, peer: str, url: str) -> bytes:
        """Return the path of a callback to the key manager that asks for it."""
        try:
            parts = urlsplit(url)
            is_theirs = (parts.scheme, (parts.hostname, parts.port)) == (
                "https",
                self._addresses.get(peer),
            )
            path = parts.path.encode("ascii")
        except ValueError:
            raise RequestRefused("missing-parameters", 400) from None
        is_plain = path.startswith(b"/") and not (parts.query or parts.fragment or parts.username)
        if not (is_theirs and is_plain and path.isascii()) or len(url) > LONGEST_URL:
            raise RequestRefused("missing-parameters", 400)
        return path
