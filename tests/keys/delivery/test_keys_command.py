"""`qnx keys status|get|dec` fetches keys into private files, and shows none."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from key_sites import NETWORK, Sites, served

from qnx_hw.cli import main
from qnx_hw.config import NetworkFile


def write_file(sites: Sites, folder: Path) -> str:
    text = NETWORK.replace("[keys]", f'[keys]\ncertificates = "{sites.network.certificates}"')
    for node in ("alice", "bob"):
        text = text.replace('127.0.0.1:0", peers', f'127.0.0.1:{sites.ports[node]}", peers', 1)
    file = folder / "lab.toml"
    file.write_text(text)
    return str(file)


def test_both_applications_get_one_key(
    network: NetworkFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"

    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            file = write_file(sites, tmp_path)
            as_a = [file, "--as", "sae-a", "--with", "sae-b"]
            as_b = [file, "--as", "sae-b", "--with", "sae-a"]
            assert await asyncio.to_thread(main, ["keys", "status", *as_a]) == 0
            get = ["keys", "get", *as_a, "--out", str(ours), "--json", str(tmp_path / "result")]
            assert await asyncio.to_thread(main, get) == 0
            (entry,) = json.loads((tmp_path / "result").read_text())["keys"]
            dec = ["keys", "dec", *as_b, "--out", str(theirs), entry["key_ID"]]
            assert await asyncio.to_thread(main, dec) == 0
            assert entry["bits"] == 256
            dec[dec.index(str(theirs))] = str(tmp_path / "again.json")
            assert await asyncio.to_thread(main, dec) == 1

    asyncio.run(scenario())

    shown = capsys.readouterr()
    key = json.loads(ours.read_text())["keys"][0]["key"]
    assert ours.read_text() == theirs.read_text()
    assert ours.stat().st_mode & 0o777 == 0o600
    assert "stored_key_count: " in shown.out
    assert "not found on KME" in shown.err
    for form in (key, base64.b64decode(key).hex()):
        assert form not in shown.out + shown.err + (tmp_path / "result").read_text()


def test_an_unknown_sae_is_told_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(NETWORK)

    assert main(["keys", "status", str(file), "--as", "nobody", "--with", "sae-b"]) == 1
    assert "no key manager for an SAE 'nobody'" in capsys.readouterr().err


def test_certificates_are_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(NETWORK.replace("[keys]", f'[keys]\ncertificates = "{tmp_path}/pki"'))

    assert main(["pki", "init", str(file)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4 + 6
    assert (tmp_path / "pki" / "sae" / "urn%3Alab%3Ad%2F1.pem").exists()
    keys = list((tmp_path / "pki").rglob("*.key"))
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    before = {path: path.read_bytes() for path in keys}

    assert main(["pki", "init", str(file)]) == 0

    assert "already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in keys} == before
    assert main(["pki", "sae", str(file), "sae-a"]) == 0
    assert main(["pki", "sae", str(file), "nobody"]) == 1
