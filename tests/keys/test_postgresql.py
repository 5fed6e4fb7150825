"""The suites of the store and the key manager again, on a PostgreSQL server of the test's own."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qnx_hw.errors import ConfigError
from qnx_hw.keys import KeyStore
from qnx_hw.keys.store import SERVER_VARIABLE

SUITES = ("test_store.py", "test_kme.py", "test_waiting.py", "test_several_links.py")


def programs() -> Path | None:
    """Return the folder of the server's newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def server_user() -> str | None:
    """Return who may run the server: it refuses root."""
    if os.geteuid() != 0:
        return ""
    known = {user.pw_name for user in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="no PostgreSQL server is installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("psycopg") is None, reason="psycopg is not installed"
    ),
    pytest.mark.skipif(server_user() is None, reason="nobody here may run a PostgreSQL server"),
]


def as_server(*words: str | Path) -> None:
    user = server_user()
    become = ["runuser", "-u", user, "--"] if user else []
    done = subprocess.run(
        [*become, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    binaries, user = programs(), server_user()
    assert binaries is not None
    # In memory where that can be: what is tested is that the answers are the same, not the disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="qnx-postgresql-", dir=memory))
    if user:
        shutil.chown(folder, user)
    try:
        cluster = folder / "data"
        as_server(
            *(binaries / "initdb", "-D", cluster, "-U", "qnx", "--auth=trust"),
            *("--encoding=UTF8", "--no-locale", "--no-sync"),
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder}"
        log = folder / "log"
        as_server(binaries / "pg_ctl", "-D", cluster, "-l", log, "-w", "-o", options, "start")
        try:
            yield f"postgresql:///postgres?host={folder}&user=qnx"
        finally:
            as_server(binaries / "pg_ctl", "-D", cluster, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.mark.timeout(900)
def test_store_and_key_manager_pass_their_suites(url: str, tmp_path: Path) -> None:
    here = Path(__file__).parent
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not sqlite"),
            *("--basetemp", str(tmp_path / "suite")),
            *(str(here / suite) for suite in SUITES),
        ],
        env=os.environ | {SERVER_VARIABLE: url},
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "passed" in done.stdout


def test_a_store_has_one_process(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, url)
    with KeyStore(tmp_path / "alice"), pytest.raises(ConfigError, match="another process"):
        KeyStore(tmp_path / "alice")
    with KeyStore(tmp_path / "alice") as again:
        assert again.secret_bits("x") == 0
    assert not list(tmp_path.rglob("*.sqlite"))


def test_a_server_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, f"postgresql:///x?host={tmp_path}")
    with pytest.raises(ConfigError, match="cannot be reached"):
        KeyStore(tmp_path / "alice")
