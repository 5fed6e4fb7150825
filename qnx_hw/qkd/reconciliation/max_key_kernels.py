"""Compiled loops of Cascade that spares every bit it can: trees with unequal halves.

How it thinks. As in `cascade_kernels` a pass lays trees over an order of the bits, of which both
parties know the difference parities. But what is known of one pass tells how likely each bit is
wrong, and so where to halve a node of another: at the median of that likelihood, not of the
positions. Bits that must be right weigh nothing; a single one that can be wrong is wrong, without
a question. Weights are whole numbers, so that both ends halve at the same place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import kernel

Whole = npt.NDArray[np.int64]
UNIT = 1 << 16
"""The weight of a bit of which nothing is known."""
TABLE = 4096
"""Nodes longer than that tell nothing of one of their bits."""
NODES, OPENED, QUESTIONS, WAITING, ERRORS, FAILED, OWNER = range(7)
N_REGISTERS = 7
START, END, PARENT, PASS, ODD, SPLIT, QUEUED = range(7)
N_FIELDS = 7


class Trees(NamedTuple):
    """One party's working memory."""

    registers: Whole
    bits: npt.NDArray[np.uint8]
    nodes: Whole
    """Shape (nodes, N_FIELDS): positions, parent (-1: none), pass, what is known, flags."""
    order: Whole
    """Shape (passes, bits): which bit stands at a position."""
    smallest: Whole
    """Shape (passes, bits): the smallest known node around each bit."""
    table: Whole
    """Shape (2, TABLE): weights by parity and length of the smallest node."""
    questions: Whole
    """Shape (questions, 2): a node, and where the part of it ends whose parity is asked."""
    waiting: Whole


@kernel()
def weight(trees: Trees, bit: int, besides: int) -> int:
    """Return how likely a bit is wrong, by all opened passes but one."""
    total = np.int64(UNIT)
    for p in range(trees.registers[OPENED]):
        if p == besides:
            continue
        node = trees.smallest[p, bit]
        length = trees.nodes[node, END] - trees.nodes[node, START]
        if length < TABLE:
            total = (total * trees.table[trees.nodes[node, ODD], length]) >> 16
    return int(total)


@kernel()
def weights(trees: Trees) -> Whole:
    """Return the weight of each bit by all opened passes."""
    found = np.empty(trees.bits.size, np.int64)
    for bit in range(found.size):
        found[bit] = weight(trees, bit, -1)
    return found


@kernel()
def open_pass(trees: Trees, order: Whole, borders: Whole) -> None:
    """Begin a pass over an order, with roots between borders, and ask for each."""
    registers, nodes = trees.registers, trees.nodes
    p = registers[OPENED]
    for k in range(order.size):
        trees.order[p, k] = order[k]
    for root in range(borders.size - 1):
        node = registers[NODES]
        registers[NODES] += 1
        nodes[node] = 0
        nodes[node, START], nodes[node, END] = borders[root], borders[root + 1]
        nodes[node, PARENT], nodes[node, PASS] = -1, p
        for k in range(borders[root], borders[root + 1]):
            trees.smallest[p, order[k]] = node
        trees.questions[registers[QUESTIONS], 0] = node
        trees.questions[registers[QUESTIONS], 1] = borders[root + 1]
        registers[QUESTIONS] += 1
    registers[OPENED] += 1


@kernel()
def _queue(trees: Trees, node: int) -> None:
    if trees.nodes[node, QUEUED] or not trees.nodes[node, ODD]:
        return
    trees.nodes[node, QUEUED] = 1
    trees.waiting[trees.registers[WAITING]] = node
    trees.registers[WAITING] += 1


@kernel()
def _child(trees: Trees, parent: int, start: int, end: int, odd: int) -> None:
    registers, nodes = trees.registers, trees.nodes
    node = registers[NODES]
    registers[NODES] += 1
    p = nodes[parent, PASS]
    nodes[node] = 0
    nodes[node, START], nodes[node, END], nodes[node, PARENT] = start, end, parent
    nodes[node, PASS], nodes[node, ODD] = p, odd
    for k in range(start, end):
        trees.smallest[p, trees.order[p, k]] = node
    _queue(trees, node)


@kernel()
def _correct(trees: Trees, bit: int) -> None:
    registers, nodes = trees.registers, trees.nodes
    registers[ERRORS] += 1
    if registers[ERRORS] > 2 * trees.bits.size:
        registers[FAILED] = 1
    if registers[OWNER]:
        trees.bits[bit] ^= 1
    for p in range(registers[OPENED]):
        leaf = trees.smallest[p, bit]
        node = leaf
        while node >= 0:
            nodes[node, ODD] ^= 1
            node = nodes[node, PARENT]
        _queue(trees, leaf)


@kernel()
def _ask(trees: Trees, node: int) -> None:
    """Halve an odd node where a bit is as likely wrong on either side, or correct its only bit."""
    p, start, end = trees.nodes[node, PASS], trees.nodes[node, START], trees.nodes[node, END]
    total, possible, last = np.int64(0), 0, start
    for k in range(start, end):
        w = weight(trees, trees.order[p, k], p)
        total += w
        if w:
            possible, last = possible + 1, k
    if end - start == 1 or possible == 1:
        _correct(trees, trees.order[p, last])
        return
    middle = (start + end) // 2
    if possible:
        upto, middle = np.int64(0), start
        while 2 * upto < total:
            step = weight(trees, trees.order[p, middle], p)
            if upto and 2 * upto + step > total:
                break
            upto += step
            middle += 1
        if upto == total:
            middle -= 1
        middle = min(max(middle, start + 1), end - 1)
    n = trees.registers[QUESTIONS]
    trees.questions[n, 0], trees.questions[n, 1] = node, middle
    trees.registers[QUESTIONS] = n + 1
    trees.nodes[node, SPLIT] = 1


@kernel()
def _search(trees: Trees) -> None:
    """Halve the odd nodes of the first pass that has some; the others wait.

    Nodes of different passes can hold the same error, which would be searched twice.
    """
    registers, nodes, waiting = trees.registers, trees.nodes, trees.waiting
    lowest, left = nodes.shape[0], 0
    for k in range(registers[WAITING]):
        node = waiting[k]
        if nodes[node, ODD] and not nodes[node, SPLIT]:
            lowest = min(lowest, nodes[node, PASS])
            waiting[left] = node
            left += 1
        else:
            nodes[node, QUEUED] = 0
    registers[WAITING] = left
    for k in range(left - 1, -1, -1):
        node = waiting[k]
        if nodes[node, PASS] == lowest:
            registers[WAITING] -= 1
            waiting[k] = waiting[registers[WAITING]]
            nodes[node, QUEUED] = 0
            if nodes[node, ODD]:
                _ask(trees, node)


@kernel()
def turn(trees: Trees, ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]) -> int:
    """Take the answers to all questions and ask the next; return how many, -1: contradiction."""
    registers, nodes = trees.registers, trees.nodes
    answered, registers[QUESTIONS] = registers[QUESTIONS], 0
    for k in range(answered):
        node, middle = trees.questions[k]
        odd = int(ours[k] ^ theirs[k])
        if middle == nodes[node, END]:
            nodes[node, ODD] = odd
            _queue(trees, node)
        else:
            start, end, whole = nodes[node, START], nodes[node, END], np.int64(nodes[node, ODD])
            _child(trees, node, start, middle, odd)
            _child(trees, node, middle, end, int(whole ^ odd))
    while registers[QUESTIONS] == 0 and registers[WAITING] > 0 and not registers[FAILED]:
        _search(trees)
    if registers[NODES] + 2 * registers[QUESTIONS] > nodes.shape[0]:
        registers[FAILED] = 1
    return -1 if registers[FAILED] else int(registers[QUESTIONS])


@kernel()
def say(trees: Trees, ours: npt.NDArray[np.uint8]) -> None:
    """Write this party's parities for all questions."""
    for k in range(trees.registers[QUESTIONS]):
        node, middle = trees.questions[k]
        p, parity = trees.nodes[node, PASS], 0
        for place in range(trees.nodes[node, START], middle):
            parity ^= trees.bits[trees.order[p, place]]
        ours[k] = parity
