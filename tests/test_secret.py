from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.secret import Secret


@given(st.binary(min_size=3, max_size=60))
def test_no_way_of_writing_shows_the_bytes(octets: bytes) -> None:
    secret = Secret(octets)

    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>50}", f"{[secret]}"):
        assert shown.strip("[] ") == f"<Secret of {len(octets)} bytes>"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Secret(b"hidden"), protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, json.dumps, hash, bytes])
def test_a_secret_is_not_copied_coded_or_hashed(duplicate: object) -> None:
    assert callable(duplicate)
    with pytest.raises(TypeError) as caught:
        duplicate(Secret(b"hidden"))

    assert "hidden" not in str(caught.value)


def test_secrets_compare_only_by_name() -> None:
    one, same, other = Secret(b"hidden"), Secret(b"hidden"), Secret(b"hiddem")

    assert one != same
    assert one.equals(same)
    assert not one.equals(other)


def test_wiping_leaves_nothing() -> None:
    secret = Secret(bytearray(b"hidden"))
    secret.wipe()

    assert len(secret) == 0
    assert secret.reveal() == b""


def test_what_was_revealed_is_a_copy() -> None:
    source = bytearray(b"hidden")
    secret = Secret(source)
    source[:] = b"public"

    assert secret.reveal() == b"hidden"
