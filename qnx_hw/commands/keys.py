"""`qnx keys`: what two nodes begin with, and keys as an application gets them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw import config
from qnx_hw.commands import introduce

if TYPE_CHECKING:
    from qnx_hw.keys.delivery.client import Client


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n"
        "  qnx keys init examples/demo.toml\n"
        "  qnx keys trust examples/demo.toml --node alice alice-bob.public.pem\n"
        "  qnx keys status examples/demo.toml --as sae-alice --with sae-bob\n"
        "  qnx keys get examples/demo.toml --as sae-alice --with sae-bob --out alice.json\n"
        "  qnx keys dec examples/demo.toml --as sae-bob --with sae-alice KEY_ID --out bob.json"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    introduce.configure(actions)
    status = actions.add_parser("status", help="ask a key manager what it has for two SAEs")
    get = actions.add_parser("get", help="get new keys as the master SAE")
    dec = actions.add_parser("dec", help="get keys by their names as the slave SAE")
    for action in (status, get, dec):
        action.add_argument("file", type=Path, metavar="FILE", help="network file")
        action.add_argument("--as", dest="own", required=True, metavar="SAE", help="who asks")
        action.add_argument("--with", dest="peer", required=True, metavar="SAE", help="the other")
        action.add_argument("--json", type=Path, metavar="FILE", help="write the result, no keys")
    for action in (get, dec):
        action.add_argument(
            "--out",
            type=Path,
            required=True,
            metavar="FILE",
            help="new file for the keys, which only its owner may read",
        )
    get.add_argument("--number", type=int, default=1, help="how many (default: %(default)s)")
    get.add_argument("--size", type=int, metavar="BITS", help="of each; the key manager's default")
    dec.add_argument("ids", nargs="+", metavar="KEY_ID")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    network = config.load(arguments.file)
    if arguments.action in ("init", "trust"):
        (introduce.init if arguments.action == "init" else introduce.trust)(network, arguments)
        return 0
    return _fetch(network, arguments)


def client_of(network: config.NetworkFile, own: str) -> Client:
    """Return a connection to the key manager that serves an SAE; `ConfigError` without one."""
    from qnx_hw.errors import ConfigError
    from qnx_hw.keys import pki
    from qnx_hw.keys.delivery import identity
    from qnx_hw.keys.delivery.client import Client

    sae = network.saes.get(own)
    kme = network.nodes[sae.node].kme if sae else None
    if kme is None:
        raise ConfigError(f"the network file has no key manager for an SAE '{own}'")
    files = pki.of_sae(network.certificates, own)
    authority = pki.authority(network.certificates, pki.SAE_AUTHORITY).certificate
    tls = identity.client_side(files.certificate, files.key, authority)
    host, _, port = kme.listen.rpartition(":")
    return Client(host.strip("[]"), int(port), tls)


def _fetch(network: config.NetworkFile, arguments: argparse.Namespace) -> int:
    """Ask the key manager that serves the SAE; keys go into a private file and nowhere else."""
    from qnx_hw.errors import ConfigError
    from qnx_hw.keys.delivery.client import names_in
    from qnx_hw.keys.vault import write_private

    if arguments.action != "status" and arguments.out.exists():
        raise ConfigError(f"{arguments.out} exists; keys go into a new file")
    with client_of(network, arguments.own) as client:
        if arguments.action == "status":
            status = client.status(arguments.peer)
            result: dict[str, object] = {
                name: getattr(status, name) for name in status.__struct_fields__
            }
            lines = [f"{name}: {value}" for name, value in result.items()]
        else:
            container = (
                client.get(arguments.peer, number=arguments.number, size=arguments.size)
                if arguments.action == "get"
                else client.get_by_id(arguments.peer, arguments.ids)
            )
            write_private(arguments.out, container)
            names = names_in(container)
            result = {"keys": [{"key_ID": name, "bits": bits} for name, bits in names]}
            lines = [name for name, _ in names]
    print("\n".join(lines))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0
