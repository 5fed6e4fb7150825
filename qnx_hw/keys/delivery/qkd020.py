"""Key managers among themselves over TLS, in the form of ETSI GS QKD 020 V1.1.1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from qnx_hw.errors import UNREADABLE, ChannelError, RequestRefused
from qnx_hw.keys.delivery import values020 as values
from qnx_hw.keys.delivery.acks020 import Acknowledgements
from qnx_hw.keys.delivery.callbacks020 import Callbacks, Work
from qnx_hw.keys.delivery.http import Request, Response
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.messages import Done, Refused, Reply, Reserve, decode_requests, encode

METHODS = {
    values.VERSIONS_PATH: "GET",
    values.EXT_KEYS: "POST",
    values.ACK: "POST",
    values.VOID: "POST",
    values.LEDGERS: "POST",
}
MOST_ACKS = 1024


class PeerDelivery:
    """Answers the key managers of other nodes; each is known by its certificate's name, a node."""

    def __init__(
        self, kme: Kme, callbacks: Callbacks, acks: Acknowledgements | None = None
    ) -> None:
        """`acks` takes what peers post of keys that this node asked them to acknowledge."""
        self._kme = kme
        self._callbacks = callbacks
        self._acks = acks or Acknowledgements()

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return await self._answer(self._checked_peer(request), request)
        except RequestRefused as error:
            return problem(error.status, str(error))
        except ChannelError:
            return problem(400, "missing-parameters")

    def _checked_peer(self, request: Request) -> str:
        if request.client is None or request.client not in self._kme.peers:
            raise RequestRefused("unauthorized", 401)
        if request.path not in METHODS:
            raise RequestRefused("void-request-not-understood", 404)
        if METHODS[request.path] != request.method:
            raise RequestRefused("missing-parameters", 405)
        return request.client

    async def _answer(self, peer: str, request: Request) -> Response:
        match request.path:
            case values.VERSIONS_PATH:
                return Response(200, values.VERSIONS)
            case values.EXT_KEYS:
                reserves, url = values.reservations(request.body)
                return await self._settle(peer, url, partial(self._reserve, peer, reserves))
            case values.VOID:
                asked = _void(request.body)
                work = partial(self._take_back, peer, asked)
                return await self._settle(peer, asked.ack_callback_url, work)
            case values.ACK:
                if not self._acks.settle(peer, _acks_in(request.body)):
                    raise RequestRefused("key-not-present", 400)
                return Response(200, b"{}")
            case _:
                questions = decode_requests(request.body)
                return Response(200, encode(await self._kme.answer(peer, questions)))

    async def _settle(self, peer: str, url: str, work: Work) -> Response:
        """Answer when it is done; or at once, where the peer wants to be called."""
        if not url:
            return Response(200, await work())
        self._callbacks.accept(peer, url, work)
        return Response(202, b"{}")

    async def _reserve(self, peer: str, reserves: Sequence[Reserve]) -> bytes:
        return _acks(reserves, await self._kme.answer(peer, reserves))

    async def _take_back(self, peer: str, asked: values.Void) -> bytes:
        names = asked.key_ids or await self._kme.waiting(peer, asked.initiator_sae_id)
        voided = await self._kme.void(peer, asked.initiator_sae_id, names)
        return msgspec.json.encode(
            [
                values.Ack(
                    key_id_container=(values.KeyIdHolder(key_id=name),),
                    ack_status=values.VOIDED if name in voided else values.ABSENT,
                    initiator_sae_id=asked.initiator_sae_id,
                    target_sae_ids=asked.target_sae_ids,
                )
                for name in names
            ]
        )


def _void(body: bytes) -> values.Void:
    try:
        asked = msgspec.json.decode(body, type=values.Void)
    except UNREADABLE:
        raise RequestRefused("void-request-not-understood", 400) from None
    if not asked.key_ids and not asked.all_confirmation:
        raise RequestRefused("no-key-ids-or-confirmation", 400)
    key_ids = values.named(asked.key_ids, "void-request-not-understood")
    return msgspec.structs.replace(asked, key_ids=key_ids)


def _acks_in(body: bytes) -> list[values.Ack]:
    try:
        acks = msgspec.json.decode(body, type=list[values.Ack])
    except UNREADABLE:
        raise RequestRefused("ack-not-understood", 400) from None
    if not 1 <= len(acks) <= MOST_ACKS:
        raise RequestRefused("ack-not-understood", 400)
    return acks


def problem(status: int, kind: str) -> Response:
    """Return an error as RFC 9457 writes it."""
    title = kind.replace("-", " ")
    body = values.Problem(type=values.PROBLEMS + kind, status=status, title=title)
    return Response(status, msgspec.json.encode(body))


def _acks(reserves: Sequence[Reserve], replies: Sequence[Reply]) -> bytes:
    return msgspec.json.encode(
        [
            {
                "key_id_container": values.listed(each.order.key_ids),
                "ack_status": values.RELAYED if isinstance(reply, Done) else values.FAILED,
                "initiator_sae_id": each.order.master,
                "target_sae_ids": each.order.holders,
            }
            | ({"message": reply.reason} if isinstance(reply, Refused) else {})
            for each, reply in zip(reserves, replies, strict=True)
        ]
    )
