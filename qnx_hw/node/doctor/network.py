"""A network file, and what it names: ports, instruments, certificates, secrets, key stores."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from qnx_hw.config import NetworkFile
from qnx_hw.keys import initial, signing
from qnx_hw.keys.database import VERSION
from qnx_hw.keys.store import DATABASE
from qnx_hw.node.doctor.finding import Finding, note, ok, problem
from qnx_hw.node.ends import ends_of

SOON_DAYS = 30


def network(file: NetworkFile, nodes: tuple[str, ...], now: dt.datetime) -> Iterator[Finding]:
    """Look at what the nodes `nodes` of a network file need here."""
    for node in nodes:
        yield from instruments(file, node)
        yield from secrets(file, node)
    for path in _certificates(file, nodes):
        yield certificate(path, now)
    for path in sorted(file.certificates.rglob("*.key")):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield problem(f"key {path}", "others may read it", f"`chmod 600 {path}`")


def instruments(file: NetworkFile, node: str) -> Iterator[Finding]:
    """Say which instruments name a driver or a serial port that is not here."""
    from qnx_hw.instruments import registry

    known = {entry.driver for entry in registry.installed()}
    good = 0
    for name, section in file.nodes[node].instruments.items():
        subject = f"instrument {node}.{name}"
        scheme, _, rest = section.url.partition("://")
        place = Path(rest.split("?", 1)[0])
        if section.driver not in known:
            yield problem(subject, f"no driver '{section.driver}'", "see `qnx devices`")
        elif scheme == "serial" and not place.exists():
            yield problem(subject, f"{place} is not there", "plug it in; `qnx devices` finds it")
        elif scheme == "serial" and not os.access(place, os.R_OK | os.W_OK):
            yield problem(subject, f"this user may not open {place}", "see the serial port above")
        else:
            good += 1
    yield ok(f"instruments of {node}", f"{good} have a driver and a way")


def secrets(file: NetworkFile, node: str) -> Iterator[Finding]:
    """Say whether the node's key store is sound, and whether every link can begin."""
    folder = file.folder_of(node)
    store = folder / DATABASE
    links = [name for name, _ in ends_of(file, node)]
    if store.exists():
        yield key_store(store)
        return
    missing = [
        (link, path)
        for link in links
        for path in _beginnings(file, folder, link)
        if not path.exists()
    ]
    for link, path in missing:
        yield problem(
            f"initial secret of {link}",
            f"{path} is missing",
            "`qnx keys init FILE`, or carry the file here from the other machine",
        )
    if not missing:
        yield ok(f"key store of {node}", "made at the first start")


def _beginnings(file: NetworkFile, folder: Path, link: str) -> tuple[Path, ...]:
    """Return the files that a link begins with at a node."""
    if file.links[link].security.first_session == "ml-dsa":
        return signing.own_path(folder, link), signing.peer_path(folder, link)
    return (initial.path_of(folder, link),)


def key_store(path: Path) -> Finding:
    """Look at a key store without changing it."""
    subject = f"key store {path}"
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return problem(subject, "others may read it", f"`chmod 600 {path}`")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0.1)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return ok(subject, "in use by a running node")
        return problem(subject, str(error), "look at the folder's owner and rights")
    except sqlite3.DatabaseError as error:
        return problem(subject, f"damaged: {error}", _ANEW)
    if version != VERSION:
        return problem(subject, f"of version {version}, this program's is {VERSION}", _ANEW)
    return ok(subject, "sound") if sound == "ok" else problem(subject, f"damaged: {sound}", _ANEW)


def certificate(path: Path, now: dt.datetime) -> Finding:
    """Say how long a certificate is good."""
    subject = f"certificate {path}"
    try:
        read = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        return problem(subject, f"cannot be read: {error}", "make it anew")
    left = read.not_valid_after_utc - now
    if left < dt.timedelta():
        return problem(subject, f"expired {-left.days} days ago", "make it anew: `qnx pki`")
    if read.not_valid_before_utc > now:
        return problem(subject, "is not valid yet", "look at this machine's clock")
    if left < dt.timedelta(days=SOON_DAYS):
        return note(subject, f"expires in {left.days} days", "make it anew: `qnx pki`")
    return ok(subject, f"good for {left.days} days")


def _certificates(file: NetworkFile, nodes: tuple[str, ...]) -> Iterator[Path]:
    if file.api.certificate:
        yield Path(file.api.certificate)
    if any(file.nodes[node].kme for node in nodes):
        yield from sorted(file.certificates.rglob("*.pem"))
    if file.bus is not None:
        folder = Path(file.bus.certificates)
        yield from (folder / f"{name}.pem" for name in ("authority", *nodes))


_ANEW = "move its folder away and make new initial secrets with `qnx keys init`"
