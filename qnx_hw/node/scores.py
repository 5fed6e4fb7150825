"""What a transmitter played while a recording ran: a private file for each session.

Together with Bob's tags a score is the session's raw key, as Alice's tags are in other protocols.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec

from qnx_hw.errors import ConfigError
from qnx_hw.instruments.values import PulseScore
from qnx_hw.keys.vault import read_private
from qnx_hw.qkd.pulses import Score
from qnx_hw.qkd.session import Transmit
from qnx_hw.secret import Secret

SUFFIX = ".score.json"


def score_of(asked: Transmit) -> PulseScore:
    """Return what the transmitter plays for a session."""
    pulses = asked.pulses
    return PulseScore(
        seed=asked.seed.reveal(),
        training_key=asked.training_key,
        training_pulses=pulses.training_pulses,
        pulse_rate_hz=pulses.rate_hz,
        intensities=pulses.intensities,
        z_threshold=pulses.z_threshold,
        limits=pulses.limits,
    )


class ScoreFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, in hexadecimal; whoever has it knows the session's raw key."""

    seed: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    training_key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


def write_score(path: Path, score: PulseScore) -> None:
    """Keep what is played; the file is readable by the user alone, and never there in part."""
    held = ScoreFile(score.seed.hex(), score.training_key.hex())
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as sink:
        sink.write(msgspec.json.encode(held) + b"\n")
    partial.replace(path)


def read_score(path: Path) -> Score:
    """Read what Alice's pulses were chosen by; nothing of it is ever shown."""
    try:
        held = msgspec.json.decode(read_private(path), type=ScoreFile)
    except (msgspec.DecodeError, UnicodeDecodeError):  # its words could quote the seed
        raise ConfigError(
            f"{path} is no score: decoy BB84 needs a JSON file with Alice's 'seed' and "
            f"'training_key' in place of her recording"
        ) from None
    return Score(Secret(bytes.fromhex(held.seed)), bytes.fromhex(held.training_key))
