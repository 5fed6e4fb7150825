"""Extensions of a key request: mandatory ones are met or refused, optional ones where possible."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from key_sites import served

from qnx_hw.config import NetworkFile
from qnx_hw.errors import RequestRefused
from qnx_hw.keys.delivery.extensions014 import (
    MANDATORY_UNMET,
    MANDATORY_UNSUPPORTED,
    Supply,
    Terms,
    terms,
)

GOOD = Supply(is_relayed=False, is_simulated=False)
POOR = Supply(is_relayed=True, is_simulated=True)
Extensions = list[dict[str, Any]]


@pytest.mark.parametrize("supply", [GOOD, POOR])
@pytest.mark.parametrize("name", ["qnx_route", "qnx_origin"])
def test_a_mandatory_extension_is_met_or_refused(supply: Supply, name: str) -> None:
    value = "direct" if name == "qnx_route" else "hardware"
    terms([{name: "any"}], [], supply)
    if supply is GOOD:
        assert terms([{name: value}], [], supply).may_be_simulated is (name == "qnx_route")
    else:
        with pytest.raises(RequestRefused, match=MANDATORY_UNMET):
            terms([{name: value}], [], supply)


@pytest.mark.parametrize(
    "extensions",
    [
        [{"qnx_route": "scenic"}],
        [{"qnx_route": ["direct"]}],
        [{"qnx_report": 1}],
        [{"qnx_route": "direct"}, {"qnx_route": "any"}],
    ],
)
def test_a_value_that_is_not_known_cannot_be_met(extensions: Extensions) -> None:
    with pytest.raises(RequestRefused, match=MANDATORY_UNMET):
        terms(extensions, [], GOOD)
    assert terms([], extensions, GOOD) == Terms()


def test_one_unknown_mandatory_name_refuses_all() -> None:
    with pytest.raises(RequestRefused, match=MANDATORY_UNSUPPORTED):
        terms([{"qnx_route": "any", "abc_x": 1}], [], GOOD)


@given(st.lists(st.dictionaries(st.text(), st.none() | st.booleans() | st.lists(st.integers()))))
def test_optional_extensions_never_refuse(extensions: Extensions) -> None:
    assert terms([], extensions, POOR) == Terms()


def test_who_asks_for_it_is_told_where_keys_come_from(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            asked = {"extension_mandatory": [{"qnx_route": "direct"}, {"qnx_report": True}]}
            given = await sites.enc("sae-a", "sae-b", asked)
            assert given.status == 200
            assert given.json["key_container_extension"] == {"qnx_route": "direct"}
            assert len(given.keys) == 1

    asyncio.run(scenario())
