"""Compile all that makes strings equal ahead of need, so that the first block waits for nothing."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from qnx_hw.qkd.reconciliation import cascade, ldpc_kernels, max_key


def warm_up(methods: Collection[str] = ("cascade", "ldpc", "max-key")) -> None:
    """Compile the kernels, or load them from disk; call it in a thread while a node starts.

    `methods` as the network file names them; `auto` may come to be Cascade or LDPC.
    """
    bits = np.zeros(64, np.uint8)
    cascade.CascadeAlice(bits, qber_hint=0.01, seed=b"")  # takes its first turn
    if "max-key" in methods:
        max_key.reconcile(bits, bits, 0.05)
    if not {"auto", "ldpc"} & set(methods):
        return
    # A code of one row and two columns: real ones take a second to be built.
    matrix = (np.array([0, 2]), np.array([0, 1]), np.array([0, 1]))
    totals, wanted = np.ones(16, np.float32), np.ones(8, np.float32)
    ldpc_kernels.syndrome(np.zeros(16, np.uint8), *matrix, 8)
    ldpc_kernels.decode(totals, wanted, *matrix, 8, 1)
    ldpc_kernels.shuffle(8, np.uint64(1))
