"""Splitters that favour Z at both ends: more rounds are sifted, and X still tests them."""

from __future__ import annotations

from types import ModuleType

import msgspec
import pytest

from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import KeyReady

pytestmark = pytest.mark.slow


def test_biased_bases_bring_more_and_a_later_span_knows_it(
    bench: ModuleType, small: SessionParameters
) -> None:
    parameters = msgspec.structs.replace(
        small, block_sifted_bits=12_000, z_share=0.7, epsilon_secrecy=1e-5, count_leak="alice"
    )
    light = bench.Source(seconds=3.4, z_share=0.7, visibility=0.99)
    pair = bench.Pair(parameters).start().feed(*light.blocks())

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB)
    made = [each.provenance for each in pair.of(Role.BOB, KeyReady)]
    assert len(made) >= 3  # the second was planned before the first was sifted
    # 0.7^2 + 0.3^2 of all pairs are sifted; the first span counted on a half.
    assert made[0].sifted_bits == pytest.approx(2 * 0.58 * 12_000, rel=0.06)
    assert made[2].sifted_bits == pytest.approx(12_000, rel=0.06)
    told = [decode(octets) for _, octets in pair.said]
    drawn = next(each for each in told if isinstance(each, messages.Amplify))
    assert drawn.length_z > 2 * drawn.length_x


def test_a_share_that_is_not_the_agreed_one_is_an_alarm(
    bench: ModuleType, small: SessionParameters
) -> None:
    parameters = msgspec.structs.replace(small, z_share=0.8)
    pair = bench.Pair(parameters).start().feed(*bench.Source(seconds=2.3).blocks())

    assert pair.keys(Role.ALICE) == {}
    assert any("in Z, where it should be 80%" in reason for reason in pair.reasons(Role.ALICE))
