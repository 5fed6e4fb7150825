"""Other people's clients get and fetch keys: curl, and `etsi-qkd-014-client` from PyPI."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from key_sites import Sites, served

from qnx_hw.config import NetworkFile
from qnx_hw.keys import pki


def files(sites: Sites, sae: str) -> tuple[str, str, str]:
    """Return certificate, key and authority of an SAE."""
    folder = sites.network.certificates
    own = pki.of_sae(folder, sae)
    return str(own.certificate), str(own.key), str(pki.authority(folder, "sae-ca").certificate)


async def run(*words: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def curl(sites: Sites, sae: str, path: str, *words: str) -> tuple[int, Any]:
    certificate, key, authority = files(sites, sae)
    credentials = ("--cacert", authority, "--cert", certificate, "--key", key)
    url = f"https://127.0.0.1:{sites.port_of(sae)}/api/v1/keys/{path}"
    printed = await run("curl", "-sS", "-w", "\n%{http_code}", *credentials, *words, url)
    body, _, status = printed.rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_and_fetches_keys(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            status, given = await curl(sites, "sae-a", "sae-b/enc_keys?number=2&size=512")
            assert status == 200
            first, second = given["keys"]
            path = f"sae-a/dec_keys?key_ID={first['key_ID']}"
            assert await curl(sites, "sae-b", path) == (200, {"keys": [first]})
            body = json.dumps({"key_IDs": [{"key_ID": second["key_ID"]}]})
            post = ("-H", "Content-Type: application/json", "-d", body)
            assert await curl(sites, "sae-b", "sae-a/dec_keys", *post) == (200, {"keys": [second]})
            assert (await curl(sites, "sae-b", "sae-a/dec_keys", *post))[0] == 400
            assert (await curl(sites, "sae-a", "sae-b/status"))[1]["source_KME_ID"] == "kme-alice"

    asyncio.run(scenario())


CLIENT = """
import json, sys
from etsi_qkd_014_client import QKD014Client
a, b = (QKD014Client(*words) for words in json.loads(sys.argv[1]))
status, data = a.get_status("sae-b")
assert status == 200 and data.stored_key_count > 0, (status, data)
for ask in ({}, {"number": 3, "size": 512}):
    status, given = a.get_key("sae-b", **ask)
    assert status == 200, (status, given)
    ids = [key.key_id for key in given.keys]
    status, got = b.get_key_with_key_IDs("sae-a", ids)
    assert status == 200, (status, got)
    assert [key.key for key in got.keys] == [key.key for key in given.keys]
    status, again = b.get_key_with_key_IDs("sae-a", ids)
    assert status == 400 and "not found" in again.message, (status, again)
print("good")
"""


@pytest.mark.foreign
@pytest.mark.slow
def test_the_client_from_pypi_gets_and_fetches_keys(network: NetworkFile, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "etsi-qkd-014-client==0.9.0"]
    subprocess.run(install, check=True, timeout=100)

    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            words = [
                [f"127.0.0.1:{sites.port_of(sae)}", *files(sites, sae)]
                for sae in ("sae-a", "sae-b")
            ]
            assert await run(python, "-c", CLIENT, json.dumps(words)) == "good\n"

    asyncio.run(scenario())
