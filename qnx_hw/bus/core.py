"""What a core needs before it starts: certificates and a nats-server configuration of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qnx_hw.bus.certificates import AUTHORITY, SERVER, Authority
from qnx_hw.bus.permissions import CONTROLLER, server_configuration
from qnx_hw.errors import ConfigError

CONFIGURATION = "core.conf"
USUAL_PLACES = "/usr/sbin:/usr/local/sbin"


@dataclass(frozen=True, slots=True)
class CoreSite:
    """The machine that a core runs on."""

    listen: str
    """`HOST:PORT`."""
    hosts: Sequence[str]
    """Names and addresses that nodes reach it under."""
    files: Path
    """Where its certificate, its key and the authority's certificate lie there."""
    store: Path

    @classmethod
    def local(cls, folder: Path, host: str, port: int) -> CoreSite:
        """Return a core that lives in one folder of this machine."""
        return cls(f"{host}:{port}", [host], folder, folder / "store")


def prepare(folder: Path, network: str, nodes: Sequence[str], core: CoreSite) -> list[Path]:
    """Write `core.conf`, and what is missing of the authority and the certificates.

    Returns the certificates that it made. A certificate is missing when it or its key is.
    """
    if taken := {SERVER, AUTHORITY} & set(nodes):
        raise ConfigError(
            f"a node cannot be called '{taken.pop()}': the bus keeps other files under that name"
        )
    if (folder / f"{AUTHORITY}.pem").exists():
        authority = Authority.read(folder)
    else:
        authority = Authority.new(network)
        authority.write(folder)
    made = []
    for name in (SERVER, *nodes, CONTROLLER):
        path = folder / f"{name}.pem"
        if not (path.exists() and path.with_suffix(".key").exists()):
            authority.issue(name, folder, hosts=core.hosts if name == SERVER else ())
            made.append(path)
    text = server_configuration(
        nodes,
        listen=core.listen,
        store=core.store,
        certificate=core.files / f"{SERVER}.pem",
        key=core.files / f"{SERVER}.key",
        authority=core.files / f"{AUTHORITY}.pem",
    )
    (folder / CONFIGURATION).write_text(text, encoding="utf-8")
    return made


def installed_server() -> str | None:
    """Return where nats-server is; None where it is not installed."""
    return shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:{USUAL_PLACES}")
