"""`qnx distill`: two recordings, both parties, and the key they would have made."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pulsed_link
import pytest
import tomli_w
from bench_sessions import example, tag_blocks

from qnx_hw.cli import main
from qnx_hw.node.scores import score_of, write_score
from qnx_hw.qkd.session import Transmit
from qnx_hw.secret import Secret
from qnx_hw.timing.archive import ArchiveWriter, Origin
from sim_devices.physics.bench import Bench

ORIGIN = Origin(node="x", instrument="tagger", is_simulated=True)


def record(bench: Bench, station: str, seconds: float, path: Path) -> Path:
    """Write a station's tags as an archive of qnx."""
    with path.open("wb") as sink:
        writer = ArchiveWriter(sink, ORIGIN)
        for block in tag_blocks(bench, station, seconds):
            writer.write(block)
        writer.close()
    return path


@pytest.fixture(name="recordings", scope="module")
def _recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    bench = Bench.from_network(example("e91.toml"))
    alice, bob = (record(bench, name, 3.5, folder / name) for name in ("alice", "bob"))
    return alice, bob


@pytest.mark.slow
def test_e91_is_distilled_from_two_recordings(
    recordings: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    words = ["distill", *map(str, recordings), "--protocol", "e91", "--json", str(out)]

    status = main([*words, "--bob-channels", "1,2,3,4,5,6,7,8", "--block-bits", "15000"])

    result = json.loads(out.read_text())
    assert status == 0
    assert result["keys_equal"]
    assert result["secret_bits"] == sum(block["secret_bits"] for block in result["blocks"]) > 1000
    expected = Bench.from_network(example("e91.toml")).expected("alice-bob")
    assert result["chsh_s"] == pytest.approx(expected.chsh_s, abs=0.06)
    assert result["qber"] == pytest.approx(expected.qber, abs=0.01)
    assert result["clock_drift_ppb"] == pytest.approx(4000, abs=5)
    assert "secret bits" in capsys.readouterr().out


@pytest.mark.slow
def test_recordings_of_another_maker_are_distilled_too(
    recordings: tuple[Path, Path], tmp_path: Path
) -> None:
    """The same as bytes of S-Fifteen, which has four inputs: BBM92 from Z and X alone."""
    from qnx_hw.timing.recordings import read

    files = []
    for path in recordings:
        recording = read(path.read_bytes())
        ours = recording.channels <= 4
        ticks = recording.times_ps[ours] * 32 // 125 + (1 << 30)
        words = ticks.astype(np.uint64) << np.uint64(10) | np.uint64(1) << (
            recording.channels[ours] - 1
        ).astype(np.uint64)
        files.append(tmp_path / f"{path.name}.ts")
        files[-1].write_bytes(words.astype("<u8").tobytes())
    out = tmp_path / "out.json"

    status = main(["distill", *map(str, files), "--block-bits", "15000", "--json", str(out)])

    assert status == 0
    assert json.loads(out.read_text())["keys_equal"]


@pytest.mark.slow
@pytest.mark.parametrize("is_right", [True, False], ids=["right-seed", "wrong-seed"])
def test_decoy_bb84_is_distilled_from_what_was_played_and_bobs_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_right: bool
) -> None:
    pulses = pulsed_link.TWO_DECOYS
    made = pulsed_link.bench(pulses)
    pulsed_link.play(made, Transmit(Secret(bytes(range(32))), bytes(range(16)), pulses))
    bob = record(made, "bob", 2.5, tmp_path / "bob")
    seed = bytes(range(32)) if is_right else bytes(32)
    score = tmp_path / "score.json"
    write_score(score, score_of(Transmit(Secret(seed), bytes(range(16)), pulses)))
    table = example("decoy-bb84.toml")
    (link,) = table["links"].values()
    link["pulses"] = {
        name: getattr(pulses, name)
        for name in ("rate_hz", "intensities", "shares", "z_probability", "training_s")
    }
    link |= {"coincidence_window_ps": 1500, "block_sifted_bits": 350_000}
    link["security"] = {"cross_click_limit": 0.2, "test_fraction": 0.02, "epsilon_secrecy": 1e-6}
    (tmp_path / "lab.toml").write_text(tomli_w.dumps(table))
    out = tmp_path / "out.json"

    words = [str(score), str(bob), "--network", str(tmp_path / "lab.toml"), "--json", str(out)]
    status = main(["distill", *words])

    result = json.loads(out.read_text())
    assert status == (0 if is_right else 1)
    assert result["keys_equal"]
    assert (result["secret_bits"] > 1000) is is_right
    shown = capsys.readouterr()
    assert seed.hex()[:16] not in shown.out + shown.err


def test_recordings_that_share_nothing_make_no_key(
    recordings: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Bench.from_network({**example("e91.toml"), "bench": {"stations": {"bob": {}}}})
    empty = record(other, "bob", 1.0, tmp_path / "other")

    assert main(["distill", str(recordings[0]), str(empty)]) == 1
    assert "no key in these recordings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["/nowhere/a", "/nowhere/b"], "cannot read"),
        (["a", "b", "--protocol", "e91"], "8 of Bob"),
        (["a", "b", "--channels", "1,2,3,3"], "different inputs"),
        (["a", "b", "--network", "examples/decoy-bb84.toml"], "cannot read"),
    ],
)
def test_wrong_words_are_told_in_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distill", *words]) == 1
    told = capsys.readouterr().err
    assert sentence in told
    assert len(told.strip().splitlines()) == 1


def test_a_damaged_or_endless_recording_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endless, text = tmp_path / "endless.bin", tmp_path / "notes.ts"
    endless.write_bytes(bytes(40) + struct.pack("<QHQH", 5, 1, 1 << 62, 2))
    text.write_text("once upon a time")

    for path, words in ((endless, "too few for any key"), (text, "this is text")):
        assert main(["distill", str(path), str(path)]) == 1
        assert f"{path}: " in (said := capsys.readouterr().err)
        assert words in said
