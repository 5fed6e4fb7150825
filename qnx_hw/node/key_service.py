"""A node's key delivery to the applications at its site."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qnx_hw.api.schema import Level
from qnx_hw.config import NetworkFile
from qnx_hw.keys import pki
from qnx_hw.keys.delivery import identity
from qnx_hw.keys.delivery.http import Service, serving
from qnx_hw.keys.delivery.qkd014 import Delivery, Registry, refuse
from qnx_hw.keys.delivery.rates import Rates
from qnx_hw.keys.kme import Kme
from qnx_hw.node.peer_link import split_address
from qnx_hw.node.tellers import Teller


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
    delivery = Delivery(kme, registry(network), network.keys, Rates(time.monotonic))
    service = Service(delivery.answer, identity.client_name, refuse)
    async with serving(service, *split_address(section.listen), tls) as address:
        tell(Level.INFO, kme.node, f"serves keys to applications at https://{address}")
        yield address
