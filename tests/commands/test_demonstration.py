"""The demo's verdict is good only for the same, non-empty key at both ends."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.commands.demonstration import LinkResult, Result
from qnx_hw.commands.same_key import is_same_key

GOOD = LinkResult(
    secret_bits=1000,
    keys_equal=True,
    qber=0.02,
    qber_expected=0.019,
    chsh_s=2.7,
    chsh_s_expected=2.74,
    pairs=9000,
    sifted_bits=4500,
    leaked_bits=800,
    blocks=1,
    blocks_aborted=0,
    seconds_to_first_key=3.0,
    secret_rate_bps=300.0,
)
DIGESTS = st.dictionaries(st.integers(1, 20), st.binary(min_size=2, max_size=2), min_size=1)


@given(DIGESTS)
def test_equal_stores_hold_the_same_key(digests: dict[int, bytes]) -> None:
    assert is_same_key(digests, dict(digests))


@given(DIGESTS)
def test_the_newest_block_may_be_on_its_way(digests: dict[int, bytes]) -> None:
    ahead = digests | {max(digests) + 1: b"xx"}

    assert is_same_key(digests, ahead)
    assert is_same_key(ahead, digests)


def test_what_one_end_drew_first_is_no_difference_and_what_it_lacks_is_one() -> None:
    whole = {block: b"%02d" % block for block in range(1, 9)}
    drawn = {block: digest for block, digest in whole.items() if block not in (1, 2, 3)}

    assert is_same_key(whole, drawn)
    assert not is_same_key(whole, {each: whole[each] for each in whole if each != 6})


@given(DIGESTS, st.data())
def test_one_different_block_is_noticed(digests: dict[int, bytes], data: st.DataObject) -> None:
    block = data.draw(st.sampled_from(sorted(digests)))

    assert not is_same_key(digests, digests | {block: digests[block] + b"x"})


def test_nothing_is_not_the_same_key() -> None:
    assert not is_same_key({}, {})
    assert not is_same_key({1: b"x"}, {})


@pytest.mark.parametrize(
    ("change", "word"),
    [({"keys_equal": False}, "same key"), ({"secret_bits": 0, "message": "dark"}, "dark")],
)
def test_a_bad_link_spoils_the_verdict(change: dict[str, object], word: str) -> None:
    result = Result({"one": GOOD, "two": msgspec.structs.replace(GOOD, **change)})

    assert not result.is_good
    assert word in result.verdict


def test_the_result_is_written_with_its_numbers_on_top(tmp_path: Path) -> None:
    Result({"one": GOOD}).write(tmp_path / "out.json")

    table = json.loads((tmp_path / "out.json").read_text())

    assert table["secret_bits"] == table["links"]["one"]["secret_bits"] == 1000
    assert Result({"one": GOOD}).is_good
