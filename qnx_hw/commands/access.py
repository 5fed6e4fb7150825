"""How commands reach the API of a running node."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qnx_hw.api.client import NodeClient
    from qnx_hw.config import NetworkFile

DEFAULT_URL = "http://127.0.0.1:8470"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare where the node is and who asks."""
    parser.add_argument(
        "--url",
        "--api",
        default=DEFAULT_URL,
        metavar="URL",
        help="a node's API, or the network file that names it (default: %(default)s)",
    )
    parser.add_argument("--token", default="", help="an API token, where the node has users")


def client_at(arguments: argparse.Namespace) -> NodeClient:
    """Return a client of the node that the arguments of `declare` name."""
    from qnx_hw.api.client import NodeClient

    if "://" in arguments.url or not Path(arguments.url).is_file():
        return NodeClient(arguments.url, token=arguments.token)
    from qnx_hw import config

    return client_of(config.load(Path(arguments.url)), token=arguments.token)


def client_of(network: NetworkFile, node: str | None = None, *, token: str = "") -> NodeClient:
    """Return a client of the process that runs a network file, or that node of it."""
    from qnx_hw.api.client import NodeClient

    alone = network.nodes[node].api if node in network.nodes else None
    certificate = network.api.certificate or None
    url = f"{'https' if certificate else 'http'}://{alone or network.api.listen}"
    return NodeClient(url, token=token, authority=certificate)
