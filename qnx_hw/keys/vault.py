"""Sealing of key material at rest: AES-256-GCM under a key that only its owner may read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from qnx_hw.errors import ConfigError
from qnx_hw.secret import Secret

MASTER_KEY_BYTES = 32
CREDENTIAL = "qnx-key-store"
SALT_BYTES = 16
SHORTEST_PASSPHRASE = 12
SCRYPT_N = 1 << 17
NONCE_BYTES = 12  # NIST SP 800-38D, section 5.2.1.1


class Vault:
    """Seals and opens secrets with one key.

    Nonces are random: with 96 bits, 2**32 seals under one key keep the chance of a repeat below
    2**-32 (NIST SP 800-38D, section 8.3).
    """

    def __init__(self, master_key: Secret) -> None:
        self._cipher = AESGCM(master_key.reveal())

    def seal(self, secret: Secret, context: str) -> bytes:
        """Return nonce and ciphertext; `context` must be given again to open it."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.reveal(), context.encode())

    def open(self, sealed: bytes, context: str) -> Secret:
        """Return what was sealed, or refuse where key, content or context differ."""
        return Secret(self.open_bytes(sealed, context))

    def open_bytes(self, sealed: bytes, context: str) -> bytes:
        """Do as `open`, without a copy that can be wiped: for what is sliced at once."""
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, ciphertext, context.encode())
        except InvalidTag as error:
            raise ConfigError(
                f"the key store's entry {context} does not open: "
                f"wrong key file or passphrase, or damaged"
            ) from error


def open_vault(key_file: Path, *, may_create: bool) -> Vault:
    """Open the vault that belongs to a key store, from the first of these that there is.

    A systemd credential `qnx-key-store` (`LoadCredentialEncrypted=`), so that the key lies nowhere
    in the clear; a passphrase in the file that `QNX_PASSPHRASE_FILE` names; or `key_file`, which
    is made (mode 0600) where that is allowed.
    """
    if (folder := os.environ.get("CREDENTIALS_DIRECTORY")) is not None:
        credential = Path(folder) / CREDENTIAL
        if credential.exists():
            return Vault(_checked(Secret(credential.read_bytes()), credential))
    if (passphrase := os.environ.get("QNX_PASSPHRASE_FILE")) is not None:
        salt_file = key_file.with_suffix(".salt")
        if may_create and not salt_file.exists():
            write_private(salt_file, secrets.token_bytes(SALT_BYTES))
        return Vault(stretch(read_private(Path(passphrase)).strip(), read_private(salt_file)))
    if may_create and not key_file.exists():
        write_private(key_file, secrets.token_bytes(MASTER_KEY_BYTES))
    return Vault(_checked(Secret(read_private(key_file)), key_file))


def stretch(passphrase: bytes, salt: bytes) -> Secret:
    """Return the key of a passphrase: scrypt, RFC 7914, with 128 MiB of memory."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise ConfigError(f"a passphrase has {SHORTEST_PASSPHRASE} characters at least")
    return Secret(Scrypt(salt, MASTER_KEY_BYTES, n=SCRYPT_N, r=8, p=1).derive(passphrase))


def _checked(master_key: Secret, source: Path) -> Secret:
    if len(master_key) != MASTER_KEY_BYTES:
        raise ConfigError(f"{source} is not a key file: it has {len(master_key)} bytes")
    return master_key


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, durably; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """Read a file that nobody else may read; refuse it where others can."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise ConfigError(
                    f"{path} can be read by others (mode {mode:o}); run: chmod 600 {path}"
                )
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make names written into `folder` survive a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
