"""The initial secret of a link: what the two parties share before they make their first key.

It is written once to a private file for each party, carried to the other machine by a trusted
person, and moved into the key store at the first start, where the file is removed. It pays for the
tags of the first blocks; afterwards new key makes good what tags cost (`qnx_hw.qkd.refill`).
"""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import msgspec

from qnx_hw.errors import ConfigError
from qnx_hw.keys.ledger import Purpose
from qnx_hw.keys.store import HASH_KEYS_BYTES, KeyStore, is_there
from qnx_hw.keys.vault import read_private, sync_folder, write_private
from qnx_hw.secret import Secret

CHANNEL_KEY_BYTES = 32
"""What the key managers of the two nodes prove themselves with, where they have no certificates."""
PADS_BYTES = 8192
"""One-time pads of 16 bytes: 512 tags per direction, enough for hundreds of blocks that fail."""
KEPT_BYTES = HASH_KEYS_BYTES + CHANNEL_KEY_BYTES
SECRET_BYTES = KEPT_BYTES + 2 * PADS_BYTES


class InitialSecretFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content; never shown, never logged."""

    link: str
    identity: str
    """A random public name, by which the parties see that they hold the same secret."""
    secret: str
    """Base64 of hash keys, the channel key, Alice's pads and Bob's pads."""

    def __repr__(self) -> str:
        return f"<initial secret {self.identity} of {self.link}>"


def path_of(folder: Path, link: str) -> Path:
    """Return where a node with data folder `folder` looks for a link's initial secret."""
    return folder / f"{link}.initial"


def make(link: str, folders: tuple[Path, Path]) -> None:
    """Write the same new initial secret of a link for both of its nodes."""
    octets = secrets.token_bytes(SECRET_BYTES)
    content = InitialSecretFile(
        link=link,
        identity=secrets.token_hex(8),
        secret=base64.b64encode(octets).decode(),
    )
    for folder in folders:
        write_private(path_of(folder, link), msgspec.json.encode(content))


def adopt(store: KeyStore, folder: Path, link: str) -> bool:
    """Move a waiting initial secret into the store; whether the link has one afterwards."""
    path = path_of(folder, link)
    if path.exists():
        content = _read(path, link)
        if content.identity != store.initial_identity(link):
            octets = base64.b64decode(content.secret)
            pads = octets[KEPT_BYTES:]
            parts = {
                Purpose.TAG_FROM_ALICE: Secret(pads[:PADS_BYTES]),
                Purpose.TAG_FROM_BOB: Secret(pads[PADS_BYTES:]),
            }
            store.set_initial(link, content.identity, Secret(octets[:KEPT_BYTES]), parts)
        path.unlink()
        sync_folder(folder)
    return store.initial_identity(link) != ""


def identity(folder: Path, link: str) -> str:
    """Return the name of the initial secret a node holds, in a file or its store; empty if none.

    Opens the store, which its node must not have open at the same time.
    """
    path = path_of(folder, link)
    if path.exists():
        return _read(path, link).identity
    if not is_there(folder):
        return ""
    with KeyStore(folder) as store:
        return store.initial_identity(link)


def prepare(link: str, folders: tuple[Path, Path], *, force: bool = False) -> bool:
    """Make an initial secret where neither node has one; whether one was made.

    `force` replaces whatever the nodes hold. Without it, nodes that do not match are refused.
    """
    ours, theirs = (identity(folder, link) for folder in folders)
    if not force and ours != theirs:
        raise ConfigError(
            f"the nodes of link '{link}' do not hold the same initial secret; "
            f"make a new one for both with `qnx keys init --force FILE`"
        )
    if ours and not force:
        return False
    make(link, folders)
    return True


def _read(path: Path, link: str) -> InitialSecretFile:
    text = read_private(path)
    try:
        content = msgspec.json.decode(text, type=InitialSecretFile)
        size = len(base64.b64decode(content.secret, validate=True))
    except ValueError:  # its words could hold a piece of the secret, so nothing of it is chained
        raise ConfigError(f"{path} is not an initial secret of qnx") from None
    if content.link != link or size != SECRET_BYTES:
        raise ConfigError(f"{path} is not an initial secret of link '{link}'")
    return content
