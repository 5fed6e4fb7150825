"""The exchange of `Hello` and `Welcome` at both ends, up to a session's keys."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from qnx_hw.edge.ciphers import PadLender
from qnx_hw.edge.epochs import Epoch
from qnx_hw.edge.handshake import (
    MAX_HANDSHAKE_BYTES,
    SESSION_BYTES,
    Hello,
    KemKey,
    Mode,
    Schedule,
    Welcome,
    encapsulate,
    new_nonce,
)
from qnx_hw.edge.keying import KeyAsker, PadKeys, SessionKeys
from qnx_hw.edge.keysource import KeySource
from qnx_hw.edge.traffic import Line, Traffic
from qnx_hw.errors import UNREADABLE, ChannelError, KeyExhausted
from qnx_hw.secret import Secret

_Greeting = TypeVar("_Greeting", bound=msgspec.Struct)

KEPT_KEYS = 64
"""Keys of peers that later connections of the same tunnel use too."""
PAD_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class _Agreed:
    """What both sides know after the exchange."""

    greetings: bytes
    ours: Epoch
    theirs: Secret
    peer_epoch: int
    kem: tuple[KemKey, bytes]
    kem_secret: Secret | None


class PeerKeys:
    """Keys that peers named, fetched once each and kept for the other sessions of their tunnel."""

    def __init__(self, source: KeySource) -> None:
        self._source = source
        self._kept: OrderedDict[tuple[str, str, str], Secret] = OrderedDict()
        self._fetching = asyncio.Lock()

    async def fetch(self, peer: str, tunnel: str, key_id: str) -> Secret:
        """Return a key for one tunnel; the same name never serves another one."""
        async with self._fetching:
            if (found := self._kept.get((peer, tunnel, key_id))) is not None:
                return found
            secret = await self._source.fetch(peer, key_id)
            self._kept[peer, tunnel, key_id] = secret
            if len(self._kept) > KEPT_KEYS:
                self._kept.popitem(last=False)
            return secret


class Pads(PadLender):
    """The pads in common with a peer, for threads."""

    def __init__(self, source: KeySource, peer: str, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._peer = peer
        self._loop = loop

    def take(self, n_bytes: int) -> tuple[int, Secret]:
        """Return fresh bytes."""
        taking = self._source.take_pad(self._peer, n_bytes)
        future = asyncio.run_coroutine_threadsafe(taking, self._loop)
        pad = future.result(PAD_DEADLINE_S)
        return pad.address, pad.secret

    def take_peers(self, address: int, n_bytes: int) -> Secret:
        """Return the peer's bytes."""
        taking = self._source.pad_at(self._peer, address, n_bytes)
        return asyncio.run_coroutine_threadsafe(taking, self._loop).result(PAD_DEADLINE_S)


class Opening:
    """The side that opens: holds what it said until the answer is there."""

    def __init__(self, line: Line, epoch: Epoch) -> None:
        traffic = line.traffic
        self._line = line
        self._epoch = epoch
        self._kem = KemKey()
        self.hello = Hello(
            session=secrets.token_bytes(SESSION_BYTES),
            source=traffic.source,
            destination=traffic.destination,
            tunnel=traffic.name,
            service=traffic.service,
            mode=traffic.mode,
            key_id=epoch.key_id,
            epoch=epoch.number,
            nonce=new_nonce(),
            kem_key=self._kem.public(),
            mixes_kem=traffic.mix_kem,
        )
        self.octets = msgspec.msgpack.encode(self.hello)

    async def complete(self, answer: bytes, desk: Desk) -> SessionKeys:
        """Return the session's keys from the other side's `Welcome`."""
        welcome = _decode(answer, Welcome)
        if welcome.session != self.hello.session:
            raise ChannelError("the other edge answered for another session")
        _check_epoch(welcome.epoch)
        theirs = await desk.peer_keys.fetch(self._line.peer, self.hello.tunnel, welcome.key_id)
        kem_secret = self._kem.open(welcome.kem_ciphertext) if self.hello.mixes_kem else None
        agreed = _Agreed(
            greetings=self.octets + answer,
            ours=self._epoch,
            theirs=theirs,
            peer_epoch=welcome.epoch,
            kem=(self._kem, welcome.kem_key),
            kem_secret=kem_secret,
        )
        return desk.keys(self._line, agreed, is_opener=True)


class Desk:
    """Makes sessions' keys; one per edge."""

    def __init__(
        self,
        source: KeySource,
        ask: Callable[[str, str, str, Callable[[Secret | None], None]], None],
    ) -> None:
        self.source = source
        self.peer_keys = PeerKeys(source)
        self._ask = ask
        self._loop = asyncio.get_running_loop()

    async def answer(self, hello: Hello, octets: bytes, line: Line) -> tuple[SessionKeys, bytes]:
        """Return the keys and the `Welcome` for a `Hello`; `KeyExhausted` without a key of ours."""
        await line.keys.renew()
        epoch = line.keys.startable()
        if epoch is None:
            raise KeyExhausted(f"no key at the destination: {line.keys.shortage or 'none yet'}")
        theirs = await self.peer_keys.fetch(line.peer, hello.tunnel, hello.key_id)
        kem = KemKey()
        secret, ciphertext = encapsulate(hello.kem_key) if hello.mixes_kem else (None, b"")
        welcome = Welcome(
            session=hello.session,
            key_id=epoch.key_id,
            epoch=epoch.number,
            nonce=new_nonce(),
            kem_key=kem.public(),
            kem_ciphertext=ciphertext,
        )
        answer = msgspec.msgpack.encode(welcome)
        agreed = _Agreed(
            greetings=octets + answer,
            ours=epoch,
            theirs=theirs,
            peer_epoch=hello.epoch,
            kem=(kem, hello.kem_key),
            kem_secret=secret,
        )
        return self.keys(line, agreed, is_opener=False), answer

    def keys(self, line: Line, agreed: _Agreed, *, is_opener: bool) -> SessionKeys:
        """Derive the keys of both directions."""
        labels = ("opener", "answerer") if is_opener else ("answerer", "opener")
        schedules = (
            Schedule(agreed.greetings, labels[0], agreed.ours.secret, agreed.kem_secret),
            Schedule(agreed.greetings, labels[1], agreed.theirs, agreed.kem_secret),
        )
        if line.traffic.mode is Mode.OTP:
            return PadKeys(
                line.keys,
                epoch=agreed.ours.number,
                peer_epoch=agreed.peer_epoch,
                quantum_keys=(agreed.ours.secret, agreed.theirs),
                schedules=schedules,
                pads=Pads(self.source, line.peer, self._loop),
            )
        return SessionKeys(
            line.keys,
            epoch=agreed.ours.number,
            peer_epoch=agreed.peer_epoch,
            schedules=schedules,
            kem=agreed.kem,
            ask_key=self._asker(line.peer, line.traffic),
        )

    def _asker(self, peer: str, traffic: Traffic) -> KeyAsker:
        return lambda key_id, take: self._ask(peer, traffic.name, key_id, take)


def read_hello(octets: bytes) -> Hello:
    """Read a `Hello`; `ChannelError` for anything else."""
    hello = _decode(octets, Hello)
    if len(hello.session) != SESSION_BYTES:
        raise ChannelError("a session without a name")
    _check_epoch(hello.epoch)
    if hello.mode is Mode.OTP and hello.mixes_kem:
        raise ChannelError("a one-time pad has nothing to mix")
    return hello


def _check_epoch(epoch: int) -> None:
    if not 0 <= epoch < 1 << 32:  # as the header of records has it
        raise ChannelError(f"there is no epoch {epoch}")


def _decode(octets: bytes, kind: type[_Greeting]) -> _Greeting:
    if len(octets) > MAX_HANDSHAKE_BYTES:
        raise ChannelError(f"a greeting of {len(octets)} bytes")
    try:
        return msgspec.msgpack.decode(octets, type=kind)
    except UNREADABLE as error:
        raise ChannelError("not a greeting of this version") from error
