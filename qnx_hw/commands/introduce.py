"""What `qnx keys init` and `qnx keys trust` do: let the two ends of a link know each other."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from qnx_hw import config
from qnx_hw.config import LinkSection


def init(network: config.NetworkFile, arguments: argparse.Namespace) -> None:
    """Make what the links' first sessions are authenticated with, and say where it lies."""
    from qnx_hw.keys import initial, signing

    for name, link in _wanted(network, arguments):
        is_signed = link.security.first_session == "ml-dsa"
        if arguments.node is not None:
            _init_one_end(network, name, arguments, is_signed=is_signed)
            continue
        folders = (network.folder_of(link.alice.node), network.folder_of(link.bob.node))
        prepare = signing.prepare if is_signed else initial.prepare
        what = "signing keys" if is_signed else "initial secret"
        if prepare(name, folders, force=arguments.force):
            path_of = signing.own_path if is_signed else initial.path_of
            places = " and ".join(str(path_of(folder, name)) for folder in folders)
            print(f"{name}: made a new {what} in {places}")
        else:
            print(f"{name}: both nodes hold the same {what} already")


def trust(network: config.NetworkFile, arguments: argparse.Namespace) -> None:
    """Take a public key file as that of the peer of a node's link."""
    from qnx_hw.keys import signing

    for name, _ in _wanted(network, arguments):
        key = signing.read_public(arguments.public)
        signing.trust(network.folder_of(arguments.node), name, key)
        print(f"{name}: {arguments.node} takes its peer by {signing.fingerprint(key)}")
        print("compare these words with what the other machine showed")


def _init_one_end(
    network: config.NetworkFile, link: str, arguments: argparse.Namespace, *, is_signed: bool
) -> None:
    from qnx_hw.errors import ConfigError
    from qnx_hw.keys import signing

    if not is_signed:
        raise ConfigError(
            f"link '{link}' begins with a secret, which is made for both nodes at once; "
            f'leave --node out, or set first_session = "ml-dsa" in [links.{link}.security]'
        )
    folder = network.folder_of(arguments.node)
    if signing.own_path(folder, link).exists() and not arguments.force:
        raise ConfigError(f"{folder} has a signing key for '{link}' already; --force replaces it")
    key = signing.make_own(folder, link)
    print(f"{link}: carry {signing.public_path(folder, link)} to the other machine")
    print(f"its fingerprint is {signing.fingerprint(key)}")


def _wanted(
    network: config.NetworkFile, arguments: argparse.Namespace
) -> Iterator[tuple[str, LinkSection]]:
    """Yield the links that are asked for; `ConfigError` where there is none."""
    from qnx_hw.errors import ConfigError

    if arguments.link is not None and arguments.link not in network.links:
        raise ConfigError(f"{arguments.file} has no link '{arguments.link}'")
    node = arguments.node
    found = [
        (name, link)
        for name, link in network.links.items()
        if arguments.link in (None, name) and node in (None, link.alice.node, link.bob.node)
    ]
    if not found and node is not None:
        raise ConfigError(f"{arguments.file} has no such link that ends at node '{node}'")
    yield from found


def configure(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare both actions."""
    start = actions.add_parser(
        "init",
        help="make what every link begins with that has nothing",
        description="Make the initial secret of every link that has none, or, where the network "
        'file says first_session = "ml-dsa", signing keys for both of its nodes. Both are written '
        "for both nodes of a link; where a node runs on another machine, carry its files there "
        "and delete them here. With --node, a signing key is made for one node only and never "
        "leaves its machine. A node moves a secret into its key store at the next start.",
    )
    start.add_argument("--force", action="store_true", help="replace what exists")
    start.add_argument("--node", metavar="NAME", help="only this node's signing keys")
    known = actions.add_parser(
        "trust",
        help="take a public key file as that of a link's other end",
        description="Copy the peer's public signing key into a node's folder and show its "
        "fingerprint, to be compared with what the other machine showed.",
    )
    known.add_argument("--node", metavar="NAME", required=True, help="whose peer it is")
    for action in (start, known):
        action.add_argument("file", type=Path, metavar="FILE", help="network file")
        action.add_argument("--link", metavar="NAME", help="only this link")
    known.add_argument("public", type=Path, metavar="PEM", help="the peer's LINK.public.pem")
