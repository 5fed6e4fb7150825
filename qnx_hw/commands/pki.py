"""`qnx pki`: certificates for key managers and the applications they serve."""

from __future__ import annotations

import argparse
from pathlib import Path

from qnx_hw import config


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx pki init examples/demo.toml\n  qnx pki sae examples/demo.toml sae-alice"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser(
        "init",
        help="make both authorities and a certificate for all who have none",
        description="Make the two authorities, and certificates for every key manager and SAE of "
        "the network file that has none. Carry to each machine only what is its own, and the "
        "authorities' .pem files; keep their .key files off the network.",
    )
    kme = actions.add_parser("kme", help="make a node's certificates anew")
    sae = actions.add_parser("sae", help="make an SAE's certificate anew")
    for action in (init, kme, sae):
        action.add_argument("file", type=Path, metavar="FILE", help="network file")
    kme.add_argument("node", metavar="NODE", help="node whose key manager it is")
    sae.add_argument("sae", metavar="ID", help="its ID, as under [saes] in the network file")


def run(arguments: argparse.Namespace) -> int:
    """Make what is asked for and say where it lies."""
    from qnx_hw.errors import ConfigError
    from qnx_hw.keys import pki

    network = config.load(arguments.file)
    folder = network.certificates
    if arguments.action == "init":
        for name in (pki.SAE_AUTHORITY, pki.KME_AUTHORITY):
            pki.make_authority(folder, name)
        made = pki.complete(network, folder)
    elif arguments.action == "kme":
        if arguments.node not in network.nodes or network.nodes[arguments.node].kme is None:
            raise ConfigError(f"{arguments.file} has no [nodes.{arguments.node}.kme]")
        made = pki.make_kme(network, folder, arguments.node)
    else:
        if arguments.sae not in network.saes:
            raise ConfigError(f'{arguments.file} has no [saes."{arguments.sae}"]')
        made = pki.make_sae(folder, arguments.sae)
    for files in made:
        print(f"made {files.certificate}")
    if not made:
        print(f"all certificates are in {folder} already")
    return 0
