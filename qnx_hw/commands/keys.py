"""`qnx keys init FILE`: the secret two nodes must share before they can make keys."""

from __future__ import annotations

import argparse
from pathlib import Path

from qnx_hw import config


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "example:\n  qnx keys init examples/demo.toml"
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser(
        "init",
        help="make the initial secret of every link that has none",
        description="Make the initial secret of every link that has none. It is written for both "
        "nodes of a link; where a node runs on another machine, carry its file there and delete "
        "it here. The node moves it into its key store at the next start.",
    )
    init.add_argument("file", type=Path, metavar="FILE", help="network file")
    init.add_argument("--link", metavar="NAME", help="only this link")
    init.add_argument("--force", action="store_true", help="replace secrets that exist")


def run(arguments: argparse.Namespace) -> int:
    """Make the secrets and say where they lie."""
    from qnx_hw.errors import ConfigError
    from qnx_hw.keys import initial

    network = config.load(arguments.file)
    if arguments.link is not None and arguments.link not in network.links:
        raise ConfigError(f"{arguments.file} has no link '{arguments.link}'")
    for name, link in network.links.items():
        if arguments.link not in (None, name):
            continue
        folders = (network.folder_of(link.alice.node), network.folder_of(link.bob.node))
        if initial.prepare(name, folders, force=arguments.force):
            places = " and ".join(str(initial.path_of(folder, name)) for folder in folders)
            print(f"{name}: made a new initial secret in {places}")
        else:
            print(f"{name}: both nodes hold the same initial secret already")
    return 0
