"""The signing keys of a link's two ends, for a first session without a carried secret.

Each node's folder holds until the link has keys of its own

    LINK.signing.pem    its private key (mode 0600), which never leaves the machine
    LINK.peer.pem       the peer's public key, brought by somebody who knows that it is the peer's

and `LINK.public.pem` to carry to the peer. None of them is secret but the first.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from qnx_hw.errors import ConfigError
from qnx_hw.keys.store import KeyStore, is_there
from qnx_hw.keys.vault import read_private, sync_folder, write_private

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What one end signs with and checks the other by."""

    folder: Path
    link: str
    own: MLDSA87PrivateKey
    peer: MLDSA87PublicKey

    @property
    def identity(self) -> str:
        """The public name of this pair of keys, the same at both ends."""
        both = sorted(key.public_bytes_raw() for key in (self.own.public_key(), self.peer))
        return hashlib.sha256(b"".join((self.link.encode(), *both))).hexdigest()[:16]

    def destroy(self) -> None:
        """Overwrite the private key and remove all files: the link needs no signature any more."""
        path = own_path(self.folder, self.link)
        if path.exists():
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
        for each in (path, peer_path(self.folder, self.link), public_path(self.folder, self.link)):
            each.unlink(missing_ok=True)
        sync_folder(self.folder)


def own_path(folder: Path, link: str) -> Path:
    """Return where a node keeps its private key for a link."""
    return folder / f"{link}.signing.pem"


def public_path(folder: Path, link: str) -> Path:
    """Return where a node's own public key lies, to be carried to the peer."""
    return folder / f"{link}.public.pem"


def peer_path(folder: Path, link: str) -> Path:
    """Return where a node keeps its peer's public key for a link."""
    return folder / f"{link}.peer.pem"


def make_own(folder: Path, link: str) -> MLDSA87PublicKey:
    """Make a node's key pair for a link, in place of one that may be there."""
    own = MLDSA87PrivateKey.generate()
    text = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(own_path(folder, link), text)
    write_private(public_path(folder, link), _pem(own.public_key()))
    return own.public_key()


def trust(folder: Path, link: str, peer: MLDSA87PublicKey) -> None:
    """Take `peer` as the key of a link's other end."""
    write_private(peer_path(folder, link), _pem(peer))


def read_public(path: Path) -> MLDSA87PublicKey:
    """Read a public key file."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UNREADABLE:
        key = None
    if not isinstance(key, MLDSA87PublicKey):
        raise ConfigError(f"{path} is not an ML-DSA-87 public key")
    return key


def fingerprint(key: MLDSA87PublicKey) -> str:
    """Return what people compare, over a telephone for instance: 128 bits in groups of four."""
    digest = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))


def load(folder: Path, link: str) -> SigningKeys | None:
    """Return the keys of a node for a link; None where its own is not (any more) there."""
    path = own_path(folder, link)
    if not path.exists():
        return None
    if not peer_path(folder, link).exists():
        raise ConfigError(
            f"{folder} has no public key of the peer of link '{link}'; "
            f"carry it there with `qnx keys trust`"
        )
    try:
        own = load_pem_private_key(read_private(path), None)
    except UNREADABLE as error:
        if isinstance(error, ConfigError):
            raise
        own = None
    if not isinstance(own, MLDSA87PrivateKey):
        raise ConfigError(f"{path} is not an ML-DSA-87 private key")
    return SigningKeys(folder, link, own, read_public(peer_path(folder, link)))


def keys_for(store: KeyStore, folder: Path, link: str) -> SigningKeys | None:
    """Return what a link signs its first session with; None where it has its first key."""
    keys = load(folder, link)
    if keys is None and not store.initial_identity(link):
        raise ConfigError(
            f"{folder} has no signing key for link '{link}' yet; make one with `qnx keys init FILE`"
        )
    return keys


def identity(folder: Path, link: str) -> str:
    """Return the name of the keys a node holds, in files or its store; empty if none.

    Opens the store, which its node must not have open at the same time.
    """
    if own_path(folder, link).exists() and peer_path(folder, link).exists():
        keys = load(folder, link)
        return keys.identity if keys else ""
    if not is_there(folder):
        return ""
    with KeyStore(folder) as store:
        return store.initial_identity(link)


def prepare(link: str, folders: tuple[Path, Path], *, force: bool = False) -> bool:
    """Make both nodes' keys where neither has any; whether some were made."""
    ours, theirs = (identity(folder, link) for folder in folders)
    if not force and ours != theirs:
        raise ConfigError(
            f"the nodes of link '{link}' do not know each other's signing keys; "
            f"make new ones for both with `qnx keys init --force FILE`"
        )
    if ours and not force:
        return False
    made = [make_own(folder, link) for folder in folders]
    for folder, peer in zip(folders, reversed(made), strict=True):
        trust(folder, link, peer)
    return True


def _pem(key: MLDSA87PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
