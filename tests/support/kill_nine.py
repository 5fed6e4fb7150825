"""Kill key managers at random points under load and count what their clients saw.

python tests/support/kill_nine.py --rounds 200
python tests/support/kill_nine.py --rounds 200 --between ruth
"""

from __future__ import annotations

import argparse
import http.client
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kme_cluster import SAES, Application, Cluster

from qnx_hw.keys import KEYS, KeyStore
from qnx_hw.secret import Secret

CLIENTS_PER_NODE = 3
LOST = (OSError, http.client.HTTPException)
BLOCK_BYTES = 32_768
BLOCKS_BURNT = 2
"""A link whose keys serve for relays loses in a round the pads of both directions, 16 KiB each,
and what it carried."""
ANSWER_DEADLINE_S = 240.0
"""For the next answer of a round; a loaded machine may start a killed node slowly."""


@dataclass
class Seen:
    """What the clients of all rounds got."""

    given: dict[str, bytes] = field(default_factory=dict)
    """By name, to masters."""
    given_at: dict[str, str] = field(default_factory=dict)
    """The node where each was given."""
    bits: set[bytes] = field(default_factory=set)
    fetched: Counter[str] = field(default_factory=Counter)
    """How often each name was answered to slaves."""
    uncertain: set[str] = field(default_factory=set)
    """Names that were asked for without an answer."""
    wrong: list[str] = field(default_factory=list)
    """What must never be."""
    refusals: Counter[str] = field(default_factory=Counter)
    """What masters were told in the round that runs."""
    kills: int = 0
    replays: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def run(
    folder: Path,
    rounds: int,
    seed: int,
    say: Callable[[str], None],
    between: tuple[str, ...] = (),
) -> Seen:
    """Do so many rounds of load and kill, and check both ends after each.

    Nodes `between` relay what the two ends share, and are killed like them.
    """
    randomness = random.Random(seed)  # picks victims, no key
    blocks = range(1, 17 + rounds // 4 + rounds * BLOCKS_BURNT * bool(between))
    cluster = Cluster(folder, blocks, BLOCK_BYTES, between=between)
    seen = Seen()
    try:
        cluster.start(*cluster.nodes)
        for number in range(rounds):
            _load_and_kill(cluster, seen, randomness)
            _check(cluster, seen, randomness)
            say(f"{number + 1}: {len(seen.given)} keys, {len(seen.wrong)} wrong")
        _settle(cluster)
    finally:
        cluster.stop()
    ways = dict(cluster.links)
    if between:
        ways["alice~bob"] = ("alice", "bob")
    with cluster.stores() as stores:
        for link, (one, other) in ways.items():
            seen.wrong += _differences(link, stores[one], stores[other])
    return seen


def _differences(link: str, ours: KeyStore, theirs: KeyStore) -> list[str]:
    """Say where the ledgers that two nodes share differ.

    A relayed block that its destination has and its maker gave up is no difference: nobody can
    ask for it.
    """
    salt, wrong = Secret(b"salt"), []
    here, there = ours.digests(link, salt), theirs.digests(link, salt)
    blocks = here.keys() & there.keys() if "~" in link else here.keys() | there.keys()
    if any(here.get(block) != there.get(block) for block in blocks):
        wrong.append(f"the ledgers of {link} differ")
    for purpose in KEYS:
        if ours.high_water(link, purpose) != theirs.high_water(link, purpose):
            wrong.append(f"the cursors of {purpose} of {link} differ")
    return wrong


def _load_and_kill(cluster: Cluster, seen: Seen, randomness: random.Random) -> None:
    """Let clients work until some answers came, then kill while they go on."""
    enough, is_over = threading.Semaphore(0), threading.Event()
    workers = [
        threading.Thread(target=_work, args=(cluster, node, seen, enough, is_over))
        for node in SAES
        for _ in range(CLIENTS_PER_NODE)
    ]
    seen.refusals.clear()
    for worker in workers:
        worker.start()
    for _ in range(randomness.randint(1, 60)):
        if not enough.acquire(timeout=ANSWER_DEADLINE_S):
            is_over.set()
            raise AssertionError(f"no key manager gives a key: {seen.refusals.most_common(3)}")
    single = [[node] for node in cluster.nodes]
    victims = randomness.choice((*single, list(cluster.nodes)))
    for victim in victims:
        cluster.kill(victim)
        seen.kills += 1
    is_over.set()
    for worker in workers:
        worker.join()
    cluster.start(*victims)


def _work(
    cluster: Cluster,
    node: str,
    seen: Seen,
    enough: threading.Semaphore,
    is_over: threading.Event,
) -> None:
    master, slave = _applications(cluster, node)
    turn = 0
    while not is_over.is_set():
        turn += 1
        with suppress(*LOST):  # by a kill, or as a loaded machine took too long
            keys = master.get() or {}
            with seen.lock:
                for name, key in keys.items():
                    if key in seen.bits:
                        seen.wrong.append(f"{name} has the bits of an earlier key")
                    seen.bits.add(key)
                    seen.given[name] = key
                    seen.given_at[name] = node
                if not keys:
                    seen.refusals[master.refusal] += 1
            if keys:
                enough.release()
            if keys and turn % 3:  # one in three stays for later
                _fetch(slave, seen, next(iter(keys)))
                enough.release()
    master.close()
    slave.close()


def _applications(cluster: Cluster, node: str) -> tuple[Application, Application]:
    """Return one at a node, which gets keys, and one at the other end, which fetches them."""
    other = "bob" if node == "alice" else "alice"
    return Application(cluster, node), Application(cluster, other)


def _fetch(slave: Application, seen: Seen, name: str) -> bool:
    with seen.lock:
        seen.uncertain.add(name)
    keys = slave.fetch([name])
    with seen.lock:
        seen.uncertain.discard(name)
        if keys is None:
            return False
        seen.fetched[name] += 1
        if keys != {name: seen.given[name]}:
            seen.wrong.append(f"{name} differs at the two ends")
        if seen.fetched[name] > 1:
            seen.wrong.append(f"{name} was delivered twice")
    return True


def _check(cluster: Cluster, seen: Seen, randomness: random.Random) -> None:
    """Try to get old keys again, and those that nobody asked for yet."""
    for node in SAES:
        slave = Application(cluster, node)
        names = [name for name, at in seen.given_at.items() if at != node]
        old = [name for name in names if seen.fetched[name]]
        for name in randomness.sample(old, min(5, len(old))):
            seen.replays += 1
            if slave.fetch([name]) is not None:
                seen.wrong.append(f"{name} was delivered again after a restart")
        waiting = [n for n in names if not seen.fetched[n] and n not in seen.uncertain]
        for name in waiting:
            if not _fetch(slave, seen, name):
                seen.wrong.append(f"{name} was given and is lost")
        slave.close()


def _settle(cluster: Cluster) -> None:
    """Have each end give the other one more key: then both know where the other's cursors stand."""
    for node in SAES:
        master, slave = _applications(cluster, node)
        end_s = time.monotonic() + ANSWER_DEADLINE_S
        is_settled = False
        while not is_settled:
            assert time.monotonic() < end_s, f"{node} gives no key any more"
            with suppress(*LOST):
                keys = master.get() or {}
                is_settled = any(slave.fetch([name]) is not None for name in keys)
        master.close()
        slave.close()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--between", nargs="*", default=[], help="nodes that relay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = run(
            Path(folder),
            arguments.rounds,
            arguments.seed,
            lambda words: print(words, flush=True),  # noqa: T201 - a command line
            tuple(arguments.between),
        )
    print(  # noqa: T201
        f"{seen.kills} kills in {arguments.rounds} rounds: {len(seen.given)} keys given, "
        f"{sum(seen.fetched.values())} fetched, {len(seen.uncertain)} uncertain, "
        f"{seen.replays} replays tried; wrong: {seen.wrong or 'nothing'}"
    )
    return 1 if seen.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
