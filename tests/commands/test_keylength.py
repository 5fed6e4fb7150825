from __future__ import annotations

import json
from pathlib import Path

import pytest

from qnx_hw import cli

BLOCK = ["--n", "90000", "--k", "10000", "--errors", "200", "--leak", "14767"]
DECOY = [
    *("--means", "0.5,0.1,0", "--shares", "0.7,0.2,0.1"),
    *("--key-detections", "3000000,175000,600", "--key-errors", "32000,2100,290"),
    *("--test-detections", "330000,19500,70", "--test-errors", "3500,235,34"),
    *("--leak", "317693"),
]
GAME = "406,81,77,436,90,402,421,87,415,80,72,433,409,86,91,414"


def test_a_block_s_length_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keylength", "bbm92", *BLOCK]) == 0

    assert capsys.readouterr().out.splitlines()[0].split() == ["bits", "54404"]


def test_the_result_goes_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"

    assert cli.main(["keylength", "bbm92", *BLOCK, "--json", str(path)]) == 0

    document = json.loads(path.read_text())
    assert document["protocol"] == "bbm92"
    assert document["inputs"]["eps_sec"] == 1e-10
    assert (document["result"]["bits"], document["result"]["phase_errors"]) == (54404, 3364)


@pytest.mark.parametrize("where", [["--json"], ["--json", "-"]])
def test_the_result_goes_to_standard_output(
    where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["keylength", "decoy", *DECOY, *where]) == 0

    # The worked length of 1192975 bits less the margin of 16.
    assert json.loads(capsys.readouterr().out)["result"]["bits"] == 1_192_959


def test_one_decoy_may_bound_its_vacuum_tightly(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        *("--mus", "0.5,0.15", "--ps", "0.7,0.3", "--n-x", "3000000,390000"),
        *("--m-x", "32000,4600", "--n-z", "330000,43000", "--m-z", "3500,510"),
        *("--leak-ec", "338297", "--vacuum", "tight", "--json"),
    ]

    assert cli.main(["keylength", "decoy", *words]) == 0

    assert json.loads(capsys.readouterr().out)["result"]["bits"] == 1_216_612 - 16


def test_numbers_come_from_a_file_and_options_win(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "block.json"
    path.write_text('{"n": 8000, "k": 2000, "x": 31, "leak_ec": 1043, "eps_cor": 1e-15}')

    assert cli.main(["keylength", "bbm92", "--input", str(path), "--errors", "30", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["result"]["bits"] == 4142


def test_counts_may_be_grouped_by_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = [int(word) for word in GAME.split(",")]
    rows = [flat[start : start + 4] for start in range(0, 16, 4)]
    block = {"n": 90000, "k": 10000, "x": 200, "leak_ec": 14767, "eps_ev": 1e-15}
    path = tmp_path / "block.json"
    path.write_text(json.dumps({**block, "counts": [rows[:2], rows[2:]]}))

    assert cli.main(["keylength", "e91", "--input", str(path), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["inputs"]["counts"] == flat


def test_a_decoy_length_says_what_was_taken_off(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keylength", "decoy", *DECOY, "--json"]) == 0

    result = json.loads(capsys.readouterr().out)["result"]
    assert result["bits"] + result["safety_bits"] == 1192975


def test_e91_says_what_its_test_showed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keylength", "e91", *BLOCK, "--counts", GAME, "--json"]) == 0

    result = json.loads(capsys.readouterr().out)["result"]
    assert result["bits"] == 54404
    assert result["chsh_s"] == pytest.approx(2.672)
    assert result["chsh_s_low"] == pytest.approx(2.43716, abs=5e-6)
    assert result["device_independent_fraction"] == pytest.approx(0.543026, abs=5e-7)


@pytest.mark.parametrize(
    "words",
    [
        ["bbm92", "--n", "9"],
        ["bbm92", *BLOCK[:-1], "many"],
        ["bbm92", *BLOCK, "--errors", "10001"],
        ["bbm92", *BLOCK, "--eps-sec", "0"],
        ["bbm92", *BLOCK, "--leak", "-1"],
        ["e91", *BLOCK, "--counts", "1,2,3"],
        ["decoy", *DECOY, "--means", "0.1,0.5,0"],
        ["decoy", *DECOY, "--vacuum", "none"],
        ["bbm92", *BLOCK, "--n", "1" + "0" * 400],
        ["decoy", *DECOY, "--means", "1e308,0.1,0"],
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["keylength", *words]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"qnx keylength {words[0]}: ")
    assert len(shown.err.splitlines()) == 1


def test_what_is_missing_is_named_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keylength", "decoy", "--leak", "9", "--means", "0.5,0.1"]) == 2

    told = capsys.readouterr().err
    assert "--shares, --key-detections, --key-errors, --test-detections, --test-errors" in told


@pytest.mark.parametrize("words", [[], ["bb48"], ["bbm92", "--unknown", "1"]])
def test_unknown_words_are_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["keylength", *words])

    assert left.value.code == 2


@pytest.mark.parametrize("content", [None, "[1, 2]", "{"])
def test_an_input_that_cannot_be_read_fails(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "block.json"
    if content is not None:
        path.write_text(content)

    assert cli.main(["keylength", "bbm92", "--input", str(path)]) != 0

    assert str(path) in capsys.readouterr().err


def test_a_result_that_cannot_be_written_fails(tmp_path: Path) -> None:
    assert cli.main(["keylength", "bbm92", *BLOCK, "--json", str(tmp_path)]) == 1


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["keylength", "bbm92", "--help"])

    assert left.value.code == 0
    assert "qnx keylength bbm92 --n 90000" in capsys.readouterr().out
