"""What a core needs before it starts: certificates and a nats-server configuration of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from qnx_hw.bus.certificates import SERVER, Authority
from qnx_hw.bus.permissions import CONTROLLER, server_configuration

CONFIGURATION = "core.conf"
USUAL_PLACES = "/usr/sbin:/usr/local/sbin"


def prepare(folder: Path, network: str, nodes: Sequence[str], *, host: str, port: int) -> None:
    """Write authority, certificates and `core.conf` of a core that listens at `host:port`."""
    authority = Authority.new(network)
    authority.write(folder)
    authority.issue(SERVER, folder, hosts=[host])
    for name in (*nodes, CONTROLLER):
        authority.issue(name, folder)
    text = server_configuration(
        nodes,
        listen=f"{host}:{port}",
        store=folder / "store",
        certificate=folder / f"{SERVER}.pem",
        key=folder / f"{SERVER}.key",
        authority=folder / "authority.pem",
    )
    (folder / CONFIGURATION).write_text(text, encoding="utf-8")


def installed_server() -> str | None:
    """Return where nats-server is; None where it is not installed."""
    return shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:{USUAL_PLACES}")
