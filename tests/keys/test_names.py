"""Names of keys are UUIDs, whoever looks at them: as text on wires, as bytes on disk."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.keys import names


@given(st.lists(st.uuids(), max_size=40))
def test_names_are_the_texts_and_bytes_of_uuids(ids: list[uuid.UUID]) -> None:
    texts = tuple(str(each) for each in ids)
    octets = b"".join(each.bytes for each in ids)

    assert names.packed(texts) == octets
    assert names.unpacked(octets) == texts


@given(st.integers(0, 200))
def test_fresh_names_are_random_uuids_of_version_4(count: int) -> None:
    made = [uuid.UUID(name) for name in names.fresh(count)]

    assert len(set(made)) == count
    assert all((each.version, each.variant) == (4, uuid.RFC_4122) for each in made)


@given(st.lists(st.text("0123456789abcdefABCDEF- \n", max_size=40), min_size=1, max_size=3))
def test_what_is_no_uuid_in_lower_case_is_no_name(texts: list[str]) -> None:
    try:
        are_names = all(str(uuid.UUID(text)) == text for text in texts)
    except ValueError:
        are_names = False

    if are_names:
        names.packed(texts)
    else:
        with pytest.raises(ValueError, match="a UUID in lower case"):
            names.packed(texts)


def test_a_name_may_be_asked_for_in_upper_case_and_in_no_other_form() -> None:
    name = "490a382d-da27-4f44-b928-9c3b8b7c1a2d"

    assert names.canonical(name.upper()) == name
    for other in (name.replace("-", ""), f"{{{name}}}", f"urn:uuid:{name}", name[:-1] + "ü", ""):
        with pytest.raises(ValueError, match="a UUID in lower case"):
            names.canonical(other)
