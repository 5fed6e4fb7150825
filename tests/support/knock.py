"""A knock during BBM92, over the wires: laboratory and nodes are programs of their own.

The fibre is knocked once keys flow. What counts is when the next key is there, by itself, and how
much key would have been made until then at the rate before.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import tomli_w
from free_ports import on_free_ports
from programs import program

from qnx_hw.api.client import NodeClient
from qnx_hw.api.loops import LoopView
from qnx_hw.api.schema import LinkView
from qnx_hw.cli import main
from qnx_hw.commands.sim import tell

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo.toml"
LINK = "alice-bob"
BLOCK_BITS = 10_000
PAIRS_HZ = 250_000.0
"""A block each second, with time to spare for a busy machine."""
DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Knock:
    """What a knock cost."""

    aligned_s: float
    """From the knock to the loop's last move before the next key."""
    next_key_s: float
    """From the knock to the first key after the blocks that it cost."""
    lost_bits: float
    """Key of this time at the rate before."""
    blocks_given_up: int
    settings: int


def knocked(angle_rad: float, folder: Path) -> Knock:
    """Run the example, knock Bob's fibre once it makes keys, and wait for the next ones."""
    file = _file(folder)
    if main(["keys", "init", str(file)]) != 0:
        raise RuntimeError("the parties could not be given an initial secret")
    with program("sim", str(file), ends_kindly=True) as laboratory:
        control = json.loads(_line(laboratory, "endpoints"))["control"]
        with program("run", str(file), "--seconds", str(2 * DEADLINE_S), ends_kindly=True) as nodes:
            found = re.search(r"http://\S+", _line(nodes, "API"))
            assert found is not None
            _line(nodes, "secret bits in")
            return _watch(NodeClient(found[0], timeout_s=120.0), control, angle_rad)


def _watch(client: NodeClient, control: str, angle_rad: float) -> Knock:
    """Follow the node's stream: keys, the knock, blocks that are given up, and keys again."""
    began_s = time.monotonic()
    before: LinkView | None = None
    knocked_s = moved_s = 0.0
    settings_before = settings = 0
    for update in client.stream():
        now_s = time.monotonic()
        if now_s - began_s > DEADLINE_S:
            raise TimeoutError(f"no key again within {DEADLINE_S:g} s")
        if isinstance(update, LoopView) and update.settings_used != settings:
            settings, moved_s = update.settings_used, now_s
        if not isinstance(update, LinkView) or update.name != LINK:
            continue
        if before is None:
            if update.blocks_done >= 2 and update.secret_rate_bps:
                tell(control, f"knock bob {angle_rad}")
                before, knocked_s, settings_before = update, time.monotonic(), settings
            continue
        given_up, used = update.blocks_aborted - before.blocks_aborted, settings - settings_before
        if not given_up or not used:
            # Blocks that were collected before the knock still become keys.
            before = msgspec.structs.replace(before, blocks_done=update.blocks_done)
        elif update.blocks_done > before.blocks_done:
            next_key_s = now_s - knocked_s
            lost_bits = next_key_s * (before.secret_rate_bps or 0.0)
            return Knock(moved_s - knocked_s, next_key_s, lost_bits, given_up, used)
    raise ConnectionError("the node ended its stream")


def _file(folder: Path) -> Path:
    table = tomllib.loads(EXAMPLE.read_text())
    table = on_free_ports(table)
    table["network"]["data_dir"] = str(folder / "data")
    table["links"][LINK]["block_sifted_bits"] = BLOCK_BITS
    table["bench"]["sources"]["spdc"]["pair_rate_hz"] = PAIRS_HZ
    path = folder / "lab.toml"
    path.write_text(tomli_w.dumps(table))
    return path


def _line(process: subprocess.Popen[str], words: str) -> str:
    """Return the first line with these words; a pipe that fills would stop the program later."""
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if words in line:
            return line
    raise RuntimeError(f"ended without '{words}': {''.join(heard)}")
