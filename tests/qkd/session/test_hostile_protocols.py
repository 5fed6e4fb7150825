"""E91 and decoy BB84 on a channel in the hands of an attacker: equal keys or none."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pulsed_link
import pytest
from hostile_channel import KINDS, SEALED, Attack, HostileLink, Target, check, paired, pulsed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qnx_hw.errors import AuthenticationError
from qnx_hw.qkd import messages
from qnx_hw.qkd.authentication import Authenticator
from qnx_hw.qkd.messages import BlockMessage, Release, Seal, decode
from qnx_hw.qkd.parameters import Protocol, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.sealer import Sealer
from qnx_hw.qkd.session import Aborted, Ended

pytestmark = pytest.mark.slow

LINKS = ("e91", "two-decoys", "one-decoy")
FLIPS = 150


@pytest.fixture(name="link", scope="module")
def _link(request: pytest.FixtureRequest, bench: ModuleType, small: SessionParameters) -> Any:
    match request.param:
        case "two-decoys":
            return pulsed(bench, pulsed_link.TWO_DECOYS)
        case "one-decoy":
            return pulsed(bench, pulsed_link.ONE_DECOY)
        case protocol:
            return paired(
                bench,
                msgspec.structs.replace(
                    small, protocol=Protocol(protocol), block_sifted_bits=10_000
                ),
            )


on_every_link = pytest.mark.parametrize("link", LINKS, indirect=True, scope="module")


@on_every_link
def test_the_untouched_link_makes_key(link: HostileLink) -> None:
    pair = link.run()

    check(pair)
    assert 1 in pair.keys(Role.BOB)


@on_every_link
@pytest.mark.parametrize("target", SEALED, ids=lambda kind: f"{kind[0]}-{kind[1].__name__}")
def test_a_changed_bit_costs_the_key(link: HostileLink, target: Target) -> None:
    attack = Attack(target, "flip", 0.7)
    pair = link.run(attack)

    assert attack.is_done
    check(pair)
    assert 1 not in pair.keys(Role.ALICE) | pair.keys(Role.BOB)
    assert pair.of(Role.BOB, (Aborted, Ended)) or pair.of(Role.ALICE, (Aborted, Ended))


@pytest.mark.parametrize("link", LINKS[1:], indirect=True, scope="module")
def test_a_changed_training_makes_no_key(link: HostileLink) -> None:
    assert not link.run(Attack((Role.ALICE, messages.Training), "flip", 0.7)).keys(Role.ALICE)


@on_every_link
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(["drop", "repeat", "delay", "split", "cut", "forge"]),
    st.floats(0, 0.999),
)
def test_any_attack_on_any_message_leaves_equal_keys_or_none(
    link: HostileLink, target: Target, action: str, place: float
) -> None:
    attack = Attack(target, action, place)
    pair = link.run(attack)

    assert attack.is_done
    check(pair)


class Witness(Sealer):
    """Keeps what each seal was checked against."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self.checked: list[tuple[int, tuple[bytes, ...], bytes]] = []

    def seal(self, block: int, parts: Iterable[bytes]) -> bytes:
        return self._authenticator.seal(block, parts)

    def check(self, block: int, parts: Iterable[bytes], seal: bytes) -> None:
        self.checked.append((block, tuple(parts), seal))
        self._authenticator.check(*self.checked[-1])

    def set_aside(self, key_bytes: int) -> tuple[int, int]:
        return self._authenticator.set_aside(key_bytes)


@pytest.mark.parametrize("link", ["bbm92", *LINKS], indirect=True, scope="module")
def test_every_flipped_bit_of_a_block_is_an_authentication_failure(link: HostileLink) -> None:
    ends = {role: Witness(each) for role, each in link.bench.authenticators().items()}
    pair = link.run(authenticators=ends)
    said = [
        octets
        for _, octets in pair.said
        if isinstance(message := decode(octets), BlockMessage)
        and message.block == 1
        and not isinstance(message, Seal | Release)
    ]
    random = np.random.default_rng(3)

    for role in Role:
        block, parts, seal = ends[role].checked[0]
        assert all(octets in parts[1] or octets in parts[2] for octets in said)
        link.bench.authenticators()[role].check(block, parts, seal)
        for number, part in enumerate((*parts, seal)):
            places = np.arange(8 * len(part))
            for place in random.choice(places, min(FLIPS, places.size), replace=False).tolist():
                changed = bytearray(part)
                changed[place // 8] ^= 1 << place % 8
                heard = [*parts, seal]
                heard[number] = bytes(changed)
                with pytest.raises(AuthenticationError):
                    link.bench.authenticators()[role].check(block, heard[:-1], heard[-1])
