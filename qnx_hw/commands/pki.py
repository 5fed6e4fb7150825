"""`qnx pki`: certificates for key managers, the applications they serve, and the bus."""

from __future__ import annotations

import argparse
from pathlib import Path
from urllib.parse import urlsplit

from qnx_hw import config

USUAL_PORT = 4222


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx pki init examples/demo.toml\n  qnx pki sae examples/demo.toml sae-alice"
        "\n  qnx pki bus network.toml"
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
    bus = actions.add_parser(
        "bus",
        help="make what the bus lacks: its authority, certificates, the server's configuration",
        description="Make an authority for the bus alone, certificates for every node, the "
        "controller and the server, all in the folder that [bus] names, and core.conf for "
        "nats-server. What is there stays. Carry to each machine its own files and authority.pem; "
        "keep authority.key off the network.",
    )
    bus.add_argument(
        "--files",
        type=Path,
        default=Path("/etc/qnx"),
        metavar="DIR",
        help="where the core's machine keeps its files (default: %(default)s)",
    )
    bus.add_argument(
        "--store",
        type=Path,
        default=Path("/var/lib/qnx-core"),
        metavar="DIR",
        help="where the core stores what nodes published (default: %(default)s)",
    )
    for action in (init, kme, sae, bus):
        action.add_argument("file", type=Path, metavar="FILE", help="network file")
    kme.add_argument("node", metavar="NODE", help="node whose key manager it is")
    sae.add_argument("sae", metavar="ID", help="its ID, as under [saes] in the network file")


def run(arguments: argparse.Namespace) -> int:
    """Make what is asked for and say where it lies."""
    from qnx_hw.errors import ConfigError
    from qnx_hw.keys import pki

    network = config.load(arguments.file)
    if arguments.action == "bus":
        _make_bus(arguments, network)
        return 0
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


def _make_bus(arguments: argparse.Namespace, network: config.NetworkFile) -> None:
    from qnx_hw.bus.core import CONFIGURATION, CoreSite, prepare
    from qnx_hw.errors import ConfigError

    if network.bus is None:
        raise ConfigError(f"{arguments.file} has no [bus]: say there where the core is reached")
    folder, reached = Path(network.bus.certificates), [urlsplit(url) for url in network.bus.servers]
    hosts = [url.hostname for url in reached if url.hostname]
    if len(hosts) < len(reached):
        raise ConfigError(f"{arguments.file}: [bus] servers need the form tls://HOST:PORT")
    core = CoreSite(
        listen=f"0.0.0.0:{reached[0].port or USUAL_PORT}",
        hosts=hosts,
        files=arguments.files,
        store=arguments.store,
    )
    for made in prepare(folder, network.network.name, list(network.nodes), core):
        print(f"made {made}")
    print(f"wrote {folder / CONFIGURATION} for nats-server on {', '.join(hosts)}")
