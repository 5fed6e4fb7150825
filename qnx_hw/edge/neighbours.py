"""Neighbours prove who they are: by TLS with the certificates of the bus, and then by its fruits.

Each node holds a TLS 1.3 connection to each neighbour, over which it probes the way; both sides
show certificates. On it the dialling node hands over a fresh key, and with this key both
authenticate the requests for circuits and their answers: who has no certificate of a node cannot
make a relay dial, cannot refuse in its name, and cannot repeat what he heard. The bytes of a
circuit are not covered again, since the two ends of a session authenticate every record.
"""

from __future__ import annotations

import hmac
import secrets
import ssl
from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from qnx_hw.edge.circuits import Open, Opened
from qnx_hw.errors import ChannelError
from qnx_hw.secret import Secret

KEY_ID_BYTES = 16
KEY_BYTES = 32
INTRODUCTION_BYTES = KEY_ID_BYTES + KEY_BYTES
WINDOW = 1024
"""How many numbers behind the newest a request may come: circuits are dialled side by side."""


@dataclass(slots=True, eq=False)
class _Ours:
    key_id: bytes
    key: Secret
    number: int = 0


@dataclass(slots=True, eq=False)
class _Theirs:
    name: str
    key: Secret
    newest: int = 0
    seen: set[int] = field(default_factory=set)

    def is_new(self, number: int) -> bool:
        """Whether a number never came before; it has now."""
        if number in self.seen or number <= self.newest - WINDOW:
            return False
        self.newest = max(self.newest, number)
        self.seen = {each for each in (*self.seen, number) if each > self.newest - WINDOW}
        return True


class Neighbours:
    """One node's proof towards its neighbours, and what it knows of theirs."""

    def __init__(
        self, names: Collection[str], dialling: ssl.SSLContext, answering: ssl.SSLContext
    ) -> None:
        self.names = frozenset(names)
        """Who may be a neighbour."""
        self.dialling = dialling
        self.answering = answering
        self._ours: dict[str, _Ours] = {}
        self._theirs: dict[bytes, _Theirs] = {}

    def introduce(self) -> bytes:
        """Return a new key and its name, for a neighbour that has proven itself."""
        return secrets.token_bytes(INTRODUCTION_BYTES)

    def introduced(self, target: str, introduction: bytes) -> None:
        """Use a key towards a neighbour from now on: it has it."""
        key_id, key = introduction[:KEY_ID_BYTES], introduction[KEY_ID_BYTES:]
        self._ours[target] = _Ours(key_id, Secret(key))

    def meet(self, name: str, introduction: bytes) -> bytes:
        """Take the key of a neighbour that has proven itself; return its name, for `part`."""
        if len(introduction) != INTRODUCTION_BYTES:
            raise ChannelError(f"'{name}' did not introduce itself")
        key_id, key = introduction[:KEY_ID_BYTES], introduction[KEY_ID_BYTES:]
        if key_id in self._theirs:
            raise ChannelError(f"'{name}' names a key that is in use")
        self._theirs[key_id] = _Theirs(name, Secret(key))
        return key_id

    def part(self, key_id: bytes) -> None:
        """Forget a neighbour's key: its connection ended."""
        self._theirs.pop(key_id, None)

    def sign(self, target: str, request: Open) -> Open:
        """Return the request as the neighbour takes it."""
        ours = self._ours.get(target)
        if ours is None:
            raise ChannelError(f"'{target}' has not proven itself yet")
        ours.number += 1
        request = msgspec.structs.replace(
            request, hop_key=ours.key_id, hop_number=ours.number, tag=b""
        )
        return msgspec.structs.replace(request, tag=_tag(ours.key, b"open", request))

    def check(self, request: Open) -> None:
        """Refuse a request that no neighbour made, made for another, or made before."""
        theirs = self._theirs.get(request.hop_key)
        bare = msgspec.structs.replace(request, tag=b"")
        if theirs is None or not hmac.compare_digest(request.tag, _tag(theirs.key, b"open", bare)):
            raise ChannelError("a circuit that no neighbour asked for")
        if request.path[-1] != theirs.name:
            raise ChannelError(f"'{theirs.name}' asks in the name of '{request.path[-1][:64]}'")
        if not theirs.is_new(request.hop_number):
            raise ChannelError("a request for a circuit that came before")

    def sign_answer(self, request: Open, answer: Opened) -> Opened:
        """Return an answer as the neighbour takes it; a stranger gets it as it is."""
        theirs = self._theirs.get(request.hop_key)
        if theirs is None:
            return answer
        return msgspec.structs.replace(answer, tag=_answer_tag(theirs.key, request, answer))

    def check_answer(self, target: str, request: Open, answer: Opened) -> None:
        """Refuse an answer that the neighbour did not give to this request."""
        ours = self._ours.get(target)
        bare = msgspec.structs.replace(answer, tag=b"")
        is_theirs = ours is not None and ours.key_id == request.hop_key
        if (
            ours is None
            or not is_theirs
            or not hmac.compare_digest(answer.tag, _answer_tag(ours.key, request, bare))
        ):
            raise ChannelError(f"the answer is not from '{target}'")


def common_name(tls: ssl.SSLObject) -> str:
    """Return whose certificate the other side of a TLS connection showed."""
    octets = tls.getpeercert(binary_form=True)
    if octets is None:
        raise ChannelError("a neighbour without a certificate")
    subject = x509.load_der_x509_certificate(octets).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise ChannelError("a certificate that names nobody, or several")
    return str(names[0].value)


def _answer_tag(key: Secret, request: Open, answer: Opened) -> bytes:
    return _tag(key, b"answer", (request.hop_key, request.hop_number, answer))


def _tag(key: Secret, label: bytes, content: object) -> bytes:
    return hmac.digest(key.reveal(), label + msgspec.msgpack.encode(content), "sha256")
