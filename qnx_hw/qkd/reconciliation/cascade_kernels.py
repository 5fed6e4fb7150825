"""Cascade's compiled inner loops: parities, the tree of known differences, the next questions.

How it thinks. Each pass lays a binary tree over its order of the bits; a node is a power-of-two
range. For every node both parties know either nothing or whether their strings differ there by
an even or an odd number of bits. All of that follows from parities both have published, so both
run this same code on the same knowledge and always agree on what is asked next: messages carry
parities and nothing else. A node known to be odd is halved: the left child's parity is asked,
the right child's follows. An odd leaf is an error; it is corrected in every pass at once, which
turns known nodes above it over. The smallest node that became odd is searched next (sub-block
reuse). All searches advance one level per message. After the last pass random subsets are
compared until enough of them agree; one that does not is halved like a node.

Martinez-Mateo, Pacher, Peev, Ciurana, Martin, "Demystifying the information reconciliation
protocol Cascade" (2015, arXiv 1407.3257) describes the variants.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qnx_hw.qkd.reconciliation.cascade_board import (
    ERRORS,
    EVEN,
    FAILED,
    FIRST,
    FIXED,
    FRESH,
    HALVED,
    INDEX_MASK,
    KIND_SHIFT,
    LEVEL_SHIFT,
    MAX_SUBSETS,
    ODD,
    OPENED,
    ORDER,
    OVERLAP,
    OWNER,
    QUESTIONS,
    QUEUED,
    SCRATCH,
    SEARCHED,
    SEED,
    SLOTS,
    SUBSET,
    SUBSET_NODE,
    SUBSET_ROW,
    SUBSETS,
    TOP,
    UNKNOWN,
    WAITING,
    WHOLE,
    Board,
    inner,
    kernel,
)
from qnx_hw.qkd.reconciliation.cascade_plan import PASSES
from qnx_hw.qkd.reconciliation.cascade_shuffles import interleave, mix

# numba compiles what a kernel calls anew for each literal number it is called with; these are none,
# and int to it.
_ZERO: Any = np.int64(0)
_NONE: Any = np.int64(-1)


@inner()
def _parity(x: np.uint64) -> int:
    x ^= x >> np.uint64(32)
    x ^= x >> np.uint64(16)
    x ^= x >> np.uint64(8)
    x ^= x >> np.uint64(4)
    return int((np.uint64(0x6996) >> (x & np.uint64(15))) & np.uint64(1))


@inner()
def _within(level: int, index: int) -> np.uint64:
    # Mask of a node smaller than a word, inside its word.
    shift = np.uint64((index << level) & 63)
    return ((np.uint64(1) << np.uint64(1 << level)) - np.uint64(1)) << shift


@inner()
def _node_parity(words: npt.NDArray[np.uint64], level: int, index: int) -> int:
    if level < 6:
        return int(_parity(words[(index << level) >> 6] & _within(level, index)))
    total = np.uint64(0)
    first = index << (level - 6)
    for w in range(first, min(first + (1 << (level - 6)), words.size)):
        total ^= words[w]
    return int(_parity(total))


@inner()
def _mask(seed: np.uint64, subset: int, word: int) -> np.uint64:
    number = np.uint64(subset) * np.uint64(0xD1342543DE82EF95) + np.uint64(word)
    return np.uint64(mix(seed + number * np.uint64(0x9E3779B97F4A7C15)))


@inner()
def _subset_parity(
    words: npt.NDArray[np.uint64], seed: np.uint64, subset: int, level: int, index: int
) -> int:
    if level < 6:
        w = (index << level) >> 6
        return int(_parity(words[w] & _mask(seed, subset, w) & _within(level, index)))
    total = np.uint64(0)
    first = index << (level - 6)
    for w in range(first, min(first + (1 << (level - 6)), words.size)):
        total ^= words[w] & _mask(seed, subset, w)
    return int(_parity(total))


@inner()
def _push(board: Board, p: int, level: int, index: int) -> None:
    state = board.states[p]
    at = board.registers[FIRST + level] + index
    if state[at] != ODD:
        return
    n = board.registers[WAITING]
    if n >= board.waiting.size:
        board.registers[FAILED] = 1
        return
    state[at] |= QUEUED
    board.waiting[n] = (p << KIND_SHIFT) | (level << LEVEL_SHIFT) | index
    board.registers[WAITING] = n + 1


@inner()
def _correct(board: Board, p: int, position: int) -> None:
    # Turn one bit over, given where it stands in pass p.
    n_words = board.words.shape[1]
    w, b = position >> 6, position & 63
    if p > 0:
        w = board.maps[ORDER + p, (w + board.lanes[p, 0, b]) % n_words]
        b = board.lanes[p, 1, b]
    bit = np.uint64(1) << np.uint64(b)
    if board.words[FIXED, w] & bit:
        board.registers[FAILED] = 1
        return
    board.words[FIXED, w] |= bit
    board.registers[ERRORS] += 1
    for s in range(board.registers[SUBSETS]):
        board.states[SUBSET_ROW, s] ^= np.uint8(
            (_mask(np.uint64(board.registers[SEED]), s, w) >> np.uint64(b)) & np.uint64(1)
        )
    for q in range(board.registers[OPENED]):
        lane = board.lanes[q, 2, b]
        slot = board.maps[SLOTS + q, w] - board.lanes[q, 0, lane]
        if slot < 0:
            slot += n_words
        if board.registers[OWNER]:
            board.words[q, slot] ^= np.uint64(1) << np.uint64(lane)
        _turn_over(board, q, (slot << 6) | lane)


@inner()
def _turn_over(board: Board, p: int, position: int) -> None:
    # Walk from the block to the leaf as far as anything is known; search the smallest odd node.
    state, registers = board.states[p], board.registers
    smallest = _NONE
    for level in range(board.registers[TOP + p], -1, -1):
        at = registers[FIRST + level] + (position >> level)
        if state[at] == UNKNOWN:
            break
        state[at] ^= 1
        if state[at] & 1:
            smallest = level
    if smallest >= 0:
        _push(board, p, smallest, position >> smallest)


@inner()
def _settle(board: Board, parked: int) -> None:
    # Follow what is known until every waiting node needs an answer; correct what is found. The
    # first `parked` nodes do need one.
    registers = board.registers
    n_bits = board.words.shape[1] << 6
    while registers[WAITING] > parked and not registers[FAILED]:
        registers[WAITING] -= 1
        node = board.waiting[registers[WAITING]]
        p = node >> KIND_SHIFT
        level = (node >> LEVEL_SHIFT) & 0xFF
        index = node & INDEX_MASK
        state = board.states[p]
        at = registers[FIRST + level] + index
        state[at] &= ~np.uint8(QUEUED)
        if not state[at] & 1:
            continue
        while level > 0:
            left = registers[FIRST + level - 1] + 2 * index
            if ((2 * index + 1) << (level - 1)) >= n_bits:
                state[left] |= ODD
            if state[left] == UNKNOWN:
                break
            level -= 1
            index = 2 * index if state[left] & 1 else 2 * index + 1
        at = registers[FIRST + level] + index
        if level == 0:
            _correct(board, p, index)
        elif not state[at] & QUEUED:
            # The first node not looked at makes room at the end of the parked ones.
            state[at] |= QUEUED
            board.waiting[registers[WAITING]] = board.waiting[parked]
            board.waiting[parked] = (p << KIND_SHIFT) | (level << LEVEL_SHIFT) | index
            registers[WAITING] += 1
            parked += 1


@inner()
def _left_half(node: int) -> int:
    return node - (1 << LEVEL_SHIFT) + (node & INDEX_MASK)


@inner()
def _absorb(board: Board, ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]) -> None:
    # Nothing is corrected before all answers are in their nodes. Nodes just halved are parked
    # at once, and the leaves found are kept in the part of `questions` that is already read.
    registers, waiting, questions = board.registers, board.waiting, board.questions
    answered, registers[QUESTIONS] = registers[QUESTIONS], 0
    found = parked = _ZERO
    for k in range(answered):
        odd = np.int64((ours[k >> 3] ^ theirs[k >> 3]) >> (k & 7)) & 1
        question = questions[k]
        kind = question >> KIND_SHIFT
        level = (question >> LEVEL_SHIFT) & 0xFF
        index = question & INDEX_MASK
        if kind == SUBSET:
            board.states[SUBSET_ROW, index] = odd
            continue
        if kind == SUBSET_NODE:  # always alone in its message
            _narrow(board, level, index + 1 - odd)
            continue
        state = board.states[kind]
        at = registers[FIRST + level] + index
        state[at] = EVEN | odd
        above = registers[TOP + kind] - level
        if above == 0:
            if not odd or (k + 1 < answered and questions[k + 1] == _left_half(question)):
                continue
        elif above == 1 and not state[registers[FIRST + level + 1] + (index >> 1)] & 1:
            # A block halved as it was opened, and even: so are both halves, or both are odd.
            state[at + 1] = EVEN | odd
            if not odd:
                continue
            state[at] |= QUEUED
            waiting[parked] = question
            parked += 1
            index, at = index + 1, at + 1
        else:
            state[at + 1] = ODD - odd
            index += 1 - odd
            at += 1 - odd
        node = (kind << KIND_SHIFT) | (level << LEVEL_SHIFT) | index
        if level == 0:
            questions[found] = node
            found += 1
        else:
            state[at] |= QUEUED
            waiting[parked] = node
            parked += 1
    registers[WAITING] += parked
    for k in range(found):
        p, index = questions[k] >> KIND_SHIFT, questions[k] & INDEX_MASK
        if board.states[p, index] & 1:
            _correct(board, p, index)
    _settle(board, parked)


@inner()
def _narrow(board: Board, level: int, index: int) -> None:
    # The searched subset is odd in this node: ask about its left half, skipping empty halves.
    n_bits = board.words.shape[1] << 6
    subset = board.registers[SEARCHED]
    seed = np.uint64(board.registers[SEED])
    while level > 0:
        level -= 1
        index *= 2
        if ((index + 1) << level) >= n_bits:
            continue
        if level >= 6:
            break
        mask = _mask(seed, subset, (index << level) >> 6)
        if not mask & _within(level, index):
            index += 1
        elif mask & _within(level, index + 1):
            break
    else:
        board.registers[SEARCHED] = -1
        if _mask(seed, subset, index >> 6) & _within(_ZERO, index):
            _correct(board, _ZERO, index)
        else:
            board.registers[FAILED] = 1
        return
    _ask(board, np.int64(SUBSET_NODE), level, index)


@inner()
def _ask(board: Board, kind: int, level: int, index: int) -> None:
    n = board.registers[QUESTIONS]
    board.questions[n] = (kind << KIND_SHIFT) | (level << LEVEL_SHIFT) | index
    board.registers[QUESTIONS] = n + 1


@inner()
def _ask_waiting(board: Board) -> None:
    n_bits = board.words.shape[1] << 6
    for k in range(board.registers[WAITING]):
        node = board.waiting[k]
        p = node >> KIND_SHIFT
        level = (node >> LEVEL_SHIFT) & 0xFF
        index = node & INDEX_MASK
        state = board.states[p]
        at = board.registers[FIRST + level] + index
        state[at] &= ~np.uint8(QUEUED)
        if not state[at] & 1:
            continue
        level, index = level - 1, 2 * index
        while ((index + 1) << level) >= n_bits:
            # All of the node's bits are in its left child, even of the last one with two.
            state[board.registers[FIRST + level] + index] |= ODD
            level, index = level - 1, 2 * index
        _ask(board, p, level, index)
    board.registers[WAITING] = 0


@inner()
def _open_pass(board: Board) -> None:
    p = board.registers[OPENED]
    if p > 0:
        interleave(
            board.words[0],
            board.maps[ORDER + p],
            board.lanes[p],
            board.words[SCRATCH],
            board.words[p],
        )
    level = board.registers[TOP + p]
    n_bits = board.words.shape[1] << 6
    halved = board.registers[HALVED] if p == 1 else _ZERO
    for index in range((n_bits + (1 << level) - 1) >> level):
        _ask(board, p, level, index)
        if index < halved:
            _ask(board, p, level - 1, 2 * index)
    board.registers[OPENED] = p + 1


@inner()
def _confirm(board: Board) -> bool:
    # Search the first subset that differs; it no longer counts, so a fresh one is wanted instead.
    # Return whether anything is left to do.
    registers = board.registers
    for s in range(registers[SUBSETS]):
        if board.states[SUBSET_ROW, s]:
            registers[SEARCHED] = s
            registers[FRESH] += 1
            level = np.int64(6)
            while (1 << (level - 6)) < board.words.shape[1]:
                level += 1
            _narrow(board, level, _ZERO)
            _settle(board, _ZERO)
            return True
    wanted = registers[FRESH]
    if registers[SUBSETS] + wanted > MAX_SUBSETS:
        registers[FAILED] = 1
        return False
    for s in range(registers[SUBSETS], registers[SUBSETS] + wanted):
        _ask(board, np.int64(SUBSET), _ZERO, s)
    registers[SUBSETS] += wanted
    registers[FRESH] = 0
    return bool(wanted > 0)


@inner()
def _say(board: Board, ours: npt.NDArray[np.uint8]) -> None:
    # Our parities for all questions, eight per byte, lowest bit first.
    n = board.registers[QUESTIONS]
    ours[: (n + 7) >> 3] = 0
    for k in range(n):
        question = board.questions[k]
        kind = question >> KIND_SHIFT
        level = (question >> LEVEL_SHIFT) & 0xFF
        index = question & INDEX_MASK
        if kind < PASSES:
            parity = _node_parity(board.words[kind], level, index)
        else:
            whole = kind == SUBSET
            subset = index if whole else board.registers[SEARCHED]
            parity = _subset_parity(
                board.words[0],
                np.uint64(board.registers[SEED]),
                subset,
                np.int64(WHOLE) if whole else level,
                _ZERO if whole else index,
            )
        ours[k >> 3] |= np.uint8(parity << (k & 7))


@kernel()
def turn(board: Board, ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]) -> int:
    """Take the peer's parities for the pending questions and decide what is asked next.

    `ours` holds this party's parities for the pending questions and receives those for the next.
    Return the number of next questions, 0 when finished, -1 where the answers contradict.
    """
    registers = board.registers
    _absorb(board, ours, theirs)
    while registers[QUESTIONS] == 0 and not registers[FAILED]:
        if registers[WAITING]:
            _ask_waiting(board)
            if registers[QUESTIONS] <= registers[OVERLAP] and registers[OPENED] < PASSES:
                _open_pass(board)
        elif registers[OPENED] < PASSES:
            _open_pass(board)
        elif not _confirm(board):
            break
    if registers[FAILED]:
        return -1
    _say(board, ours)
    return int(registers[QUESTIONS])


@kernel()
def converse(
    alice: Board,
    bob: Board,
    said: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    pending: int,
    limit: int,
) -> tuple[int, int, int]:
    """Let both parties of one process exchange whole messages until they finish.

    `said` holds their parities for the `pending` questions, and room for a third message. Return
    questions left (-1: contradiction), parities asked of each, and rounds; stop above `limit`.
    """
    leak = rounds = 0
    while pending > 0 and leak + pending <= limit:
        leak += pending
        rounds += 1
        n_octets = (pending + 7) >> 3
        for k in range(n_octets):
            said[2][k] = said[0][k]
        pending = turn(alice, said[0], said[1])
        if turn(bob, said[1], said[2]) != pending:
            pending = -1
    return pending, leak, rounds
