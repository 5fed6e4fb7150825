"""A node's key delivery to the applications at its site, and its way to other key managers."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller
from qnx_hw.attempts import attempt
from qnx_hw.config import NetworkFile
from qnx_hw.errors import QnxError
from qnx_hw.keys import pki
from qnx_hw.keys.delivery import identity
from qnx_hw.keys.delivery.acks020 import Acknowledgements
from qnx_hw.keys.delivery.callbacks020 import Callbacks
from qnx_hw.keys.delivery.front import Front
from qnx_hw.keys.delivery.http import Response, Service, serving
from qnx_hw.keys.delivery.peer020 import CallBack, TlsPeer
from qnx_hw.keys.delivery.qkd014 import Registry, refuse
from qnx_hw.keys.delivery.qkd020 import PeerDelivery, problem
from qnx_hw.keys.delivery.rates import Rates
from qnx_hw.keys.delivery.values020 import ACK, MAX_BODY_BYTES
from qnx_hw.keys.kme import Kme
from qnx_hw.node.certificate_watch import kept_fresh
from qnx_hw.node.peer_link import split_address

log = logging.getLogger(__name__)

PAUSE_S = 0.5


def registry(network: NetworkFile) -> Registry:
    """Return who is who in a network file."""
    return Registry(
        saes=network.saes,
        kme_ids={
            name: (node.kme.id if node.kme else None) or name
            for name, node in network.nodes.items()
        },
    )


@asynccontextmanager
async def delivering(network: NetworkFile, kme: Kme, tell: Teller) -> AsyncIterator[str]:
    """Serve a node's SAEs while the context lasts; yields the address really bound.

    Without a table for it in the network file, or without certificates, nobody is served and the
    address is empty.
    """
    section = network.nodes[kme.node].kme
    folder = network.certificates
    own, authority = pki.of_kme(folder, kme.node), pki.authority(folder, pki.SAE_AUTHORITY)
    if section is None or not own.exist:
        if section is not None:
            words = (
                f"serves no keys to applications: there is no {own.certificate} (`qnx pki init`)"
            )
            tell(Level.INFO, kme.node, words)
        yield ""
        return
    tls = identity.server_side(own.certificate, own.key, authority.certificate)
    front = Front(kme, registry(network), network.keys, Rates(time.monotonic))
    service = Service(front.answer, identity.client_name, refuse)
    fresh = kept_fresh(tell, kme.node, (own.certificate, own.key), tls)
    async with serving(service, *split_address(section.listen), tls) as address, fresh:
        tell(Level.INFO, kme.node, f"serves keys to applications at https://{address}")
        yield address


def has_own_way(network: NetworkFile, ours: str, theirs: str) -> bool:
    """Whether two nodes' key managers speak over TLS, not over their link's classical channel."""
    sections = (network.nodes[ours].kme, network.nodes[theirs].kme)
    return all(section is not None and section.peers is not None for section in sections)


@asynccontextmanager
async def receiving_peers(
    network: NetworkFile, kme: Kme, tell: Teller, acks: Acknowledgements | None = None
) -> AsyncIterator[str]:
    """Serve other key managers while the context lasts; yields the address really bound.

    `acks` are those that the wires of the same node wait for.

    Empty where the network file gives none. `ConfigError` where a certificate is missing.
    """
    section = network.nodes[kme.node].kme
    if section is None or section.peers is None:
        yield ""
        return
    own, authority = _towards_peers(network, kme.node)
    tls = identity.server_side(own.certificate, own.key, authority.certificate)
    callbacks = _callbacks(network, kme)
    delivery = PeerDelivery(kme, callbacks, acks)
    service = Service(delivery.answer, identity.client_name, _refuse_peer, MAX_BODY_BYTES)
    fresh = kept_fresh(tell, kme.node, (own.certificate, own.key), tls)
    async with (
        serving(service, *split_address(section.peers), tls) as address,
        fresh,
        asyncio.TaskGroup() as tasks,
    ):
        calling = tasks.create_task(callbacks.run())
        try:
            yield address
        finally:
            calling.cancel()


class TlsWire:
    """Keeps one key manager in touch with a peer's over TLS."""

    def __init__(
        self,
        network: NetworkFile,
        kme: Kme,
        peer: str,
        address: str,
        link: str = "",
        acks: Acknowledgements | None = None,
    ) -> None:
        """`acks` are those of `receiving_peers`; without them a peer has to answer at once."""
        self._files = _towards_peers(network, kme.node)
        self._tls()  # a missing certificate is told at the start
        self._kme = kme
        self._peer = peer
        self._link = link
        self._address = split_address(address)
        section = network.nodes[kme.node].kme
        self._call_back = None
        if acks is not None and section is not None and section.peers is not None:
            self._call_back = CallBack(acks, f"https://{section.peers}{ACK.decode()}")

    async def run(self) -> None:
        """Connect again and again until cancelled."""
        while True:
            try:
                await attempt(self._attend())
            except* QnxError as errors:
                log.debug("the key managers' way to %s broke: %s", self._peer, errors.exceptions)
            await asyncio.sleep(PAUSE_S)

    def _tls(self) -> ssl.SSLContext:
        """Read the certificates anew, so that a renewed one is used from the next connection on."""
        own, authority = self._files
        return identity.client_side(own.certificate, own.key, authority.certificate)

    async def _attend(self) -> None:
        way = await TlsPeer.open(*self._address, self._tls(), self._peer)
        try:
            await way.agree(self._call_back)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(way.watch())
                tasks.create_task(self._kme.attend(self._peer, way, self._link))
        finally:
            way.close()


def _callbacks(network: NetworkFile, kme: Kme) -> Callbacks:
    own, authority = _towards_peers(network, kme.node)
    addresses = {
        peer: split_address(section.peers)
        for peer in kme.peers
        if (section := network.nodes[peer].kme) is not None and section.peers is not None
    }
    return Callbacks(
        addresses,
        lambda: identity.client_side(own.certificate, own.key, authority.certificate),
    )


def _towards_peers(network: NetworkFile, node: str) -> tuple[pki.Files, pki.Files]:
    folder = network.certificates
    return pki.of_peer(folder, node), pki.authority(folder, pki.KME_AUTHORITY)


def _refuse_peer(status: int, reason: str) -> Response:
    log.debug("a key manager's request was refused: %s", reason)
    return problem(status, "missing-parameters")
