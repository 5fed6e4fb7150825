"""Certificates in use: one that ends soon is told of, one that was renewed is taken up at once.

How it thinks: a TLS context that serves already takes a new certificate for the connections to
come; those that are open keep the old one. Certificate and key are two files, which somebody
replaces one after the other, so a pair that does not fit is told of when it still does not fit at
the next look, and the old pair serves on.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509

from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller

LOOK_INTERVAL_S = 5.0
SOON = dt.timedelta(days=30)


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class CertificateWatch:
    """Watches the certificate and key that a TLS context serves with."""

    def __init__(
        self,
        tell: Teller,
        source: str,
        pair: tuple[Path, Path],
        context: ssl.SSLContext,
        now: Callable[[], dt.datetime] = _utc_now,
    ) -> None:
        self._tell = tell
        self._source = source
        self._certificate, self._key = pair
        self._context = context
        self._now = now
        self._served = self._seen = self._refused = self._contents()
        self._ends = self._end()
        self._told: Level | None = None
        self._about = f"certificate {self._certificate}"

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_INTERVAL_S)

    def look(self) -> None:
        """Take up what was renewed, and tell what changed since the last look."""
        contents = self._contents()
        if contents not in (self._served, self._refused):
            self._take_up(contents)
        elif contents == self._served != self._refused:
            self._refused, self._told = contents, None
        level = self._level()
        if level is not self._told:
            self._told = level
            if level is Level.OK:
                words = f"the certificate {self._certificate} is good until {self._ends:%Y-%m-%d}"
                self._tell(Level.INFO, self._source, words, self._about)
                return
            verb = "ended" if level is Level.ALARM else "ends"
            words = (
                f"the certificate {self._certificate} {verb} on {self._ends:%Y-%m-%d %H:%M} "
                "UTC: put a new one with its key in its place, it is taken up at once"
            )
            self._tell(level, self._source, words, self._about)

    def _take_up(self, contents: tuple[bytes, bytes]) -> None:
        try:
            trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trial.load_cert_chain(self._certificate, self._key)
            self._context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            if contents == self._seen:
                self._refused = contents
                words = (
                    f"the new certificate {self._certificate} cannot be used with "
                    f"{self._key.name}: {error}; the old one serves on"
                )
                self._tell(Level.WARNING, self._source, words, self._about)
            self._seen = contents
            return
        self._served, self._ends, self._told = contents, self._end(), Level.OK
        until = f"it is good until {self._ends:%Y-%m-%d}"
        words = f"took up the renewed certificate {self._certificate}: {until}"
        self._tell(Level.OK, self._source, words, self._about)

    def _level(self) -> Level:
        left = self._ends - self._now()
        if left <= dt.timedelta(0):
            return Level.ALARM
        return Level.WARNING if left < SOON else Level.OK

    def _end(self) -> dt.datetime:
        return x509.load_pem_x509_certificate(self._certificate.read_bytes()).not_valid_after_utc

    def _contents(self) -> tuple[bytes, bytes]:
        """Return what tells one pair of files from another; the key's own bytes are not kept."""
        try:
            return self._certificate.read_bytes(), _stamp(self._key)
        except OSError:
            return b"", b""


@asynccontextmanager
async def kept_fresh(
    tell: Teller, source: str, pair: tuple[Path, Path], context: ssl.SSLContext
) -> AsyncIterator[None]:
    """Watch a pair of files while the context lasts."""
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(CertificateWatch(tell, source, pair, context).run())
        try:
            yield
        finally:
            watching.cancel()


def _stamp(path: Path) -> bytes:
    about = path.stat()
    return f"{about.st_mtime_ns} {about.st_ino} {about.st_size}".encode()
