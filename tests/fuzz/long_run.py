"""Fuzz for as long as you like: `.venv/bin/python tests/fuzz/long_run.py --minutes 60`.

Each input is written to a file before it is tried, so that also a crash of the process leaves it.
What breaks a parser is kept below `tests/fuzz/corpus/TARGET`; mend the parser and commit both.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from fuzz_targets import CORPUS, TARGETS, seeds_of, try_out  # noqa: E402

MOST_MEMORY_BYTES = 8 << 30
SLOW_S = 5.0
INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\xff" * 8,
    b"\x80" + b"\x00" * 7,
    b"{",
    b'"',
)


def change(octets: bytes, chance: random.Random) -> bytes:
    """Flip, cut, insert, repeat: one to eight times."""
    changed = bytearray(octets)
    for _ in range(chance.randint(1, 8)):
        at = chance.randint(0, max(0, len(changed) - 1))
        match chance.randrange(6):
            case 0 if changed:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at : at + chance.randint(1, 16)]
            case 2:
                changed[at:at] = chance.choice(INTERESTING)
            case 3:
                changed[at : at + 8] = chance.choice(INTERESTING)
            case 4:
                changed[at:at] = changed[at : at + chance.randint(1, 64)]
            case _:
                changed[at : at + 4] = chance.randbytes(4)
    return bytes(changed)


def main() -> int:
    """Try until the time is over; 1 where anything broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--tries", type=int, default=sys.maxsize)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS))
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    chance, names = random.Random(wish.seed), wish.target or sorted(TARGETS)
    end_s, tried, broken = time.monotonic() + 60 * wish.minutes, 0, Counter[str]()
    while time.monotonic() < end_s and tried < wish.tries:
        name = names[tried % len(names)]
        octets = change(chance.choice(seeds_of(name)), chance)
        tried += 1
        began_s = time.monotonic()
        try:
            try_out(name, octets)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            way = f"{name}: {type(error).__name__} at {at.filename}:{at.lineno}"
            if not broken[way]:
                keep(name, octets)
                traceback.print_exc()
            broken[way] += 1
        if time.monotonic() - began_s > SLOW_S:
            keep(name, octets)
            print(f"{name}: {len(octets)} bytes took longer than {SLOW_S:g} s", flush=True)
    print("\n".join([*broken, f"{tried} inputs, {len(broken)} ways to break"]))
    return 1 if broken else 0


def keep(name: str, octets: bytes) -> None:
    """Write down what broke a parser."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(octets).hexdigest()[:16]).write_bytes(octets)


if __name__ == "__main__":
    sys.exit(main())
