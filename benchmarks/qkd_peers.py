"""Foreign reconciliation and privacy amplification, each in an environment of its own.

Environments are made on demand with pip in the system's temporary folder. Where one cannot be had
the peer's figures are None. Both ends' work counts, processor time of one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from scipy import sparse

from qnx_hw.qkd.reconciliation.ldpc_codes import Code

DEADLINE_S = 600.0
SEQUENCE = """
import json, random, sys, time, types
from collections import deque
from sequence.qkd.cascade import Cascade
owner = types.SimpleNamespace(timeline=types.SimpleNamespace(now=lambda: 0), name="n", protocols=[])
queue = deque()
def send(party, message):
    queue.append((party.another, message))
alice, bob = Cascade(owner, "alice", role=0), Cascade(owner, "bob", role=1)
alice.another, bob.another = bob, alice
rate, frames, n = float(sys.argv[1]), 3, 10240
for party in (alice, bob):
    party.send_by_cc = types.MethodType(send, party)
    party.performance_measure = lambda: None
    party.k1, party.keylen, party.frame_num, party.state = max(1, round(0.73 / rate)), n, 0, 1
    party.bits, party.t1, party.t2 = [0], [0], [0]
draw = random.Random(1)
spent, leak = 0.0, 0
for _ in range(frames):
    key = draw.getrandbits(n)
    errors = sum((draw.random() < rate) << i for i in range(n))
    start = time.process_time()
    bob.pop(key ^ errors)
    alice.pop(key)
    while queue:
        party, message = queue.popleft()
        kind = message.msg_type.name
        leak += kind == "RECEIVE_FOR_BINARY"
        if kind == "CHECKSUMS":
            leak += sum(map(len, message.checksums))
        party.received_message("", message)
    spent += time.process_time() - start
    assert alice.bits[-1] == bob.bits[-1]
print(json.dumps([frames * n / spent / 1e6, leak / frames / n]))
"""
QKDPY = """
import json, random, sys, time
from qkdpy.key_management.error_correction import ErrorCorrection
from qkdpy.key_management.privacy_amplification import PrivacyAmplification
rate, n = float(sys.argv[1]), 20000
draw = random.Random(1)
alice = [draw.getrandbits(1) for _ in range(n)]
bob = [bit ^ (draw.random() < rate) for bit in alice]
start = time.process_time()
ErrorCorrection.cascade(alice, bob)
cascade_s = time.process_time() - start
start = time.process_time()
PrivacyAmplification.toeplitz_hashing(alice[:2000], 1000, seed=1)
print(json.dumps([n / cascade_s / 1e6, 2000 / (time.process_time() - start) / 1e6]))
"""
LDPC = """
import json, sys, time
import numpy as np
from scipy import sparse
from ldpc import BpDecoder
matrix = sparse.load_npz(sys.argv[2])
rate = float(sys.argv[1])
decoder = BpDecoder(matrix, error_rate=rate, max_iter=100, bp_method="product_sum")
draw = np.random.default_rng(1)
error = (draw.random(matrix.shape[1]) < rate).astype(np.uint8)
syndrome = np.asarray(matrix @ error % 2, dtype=np.uint8)
start = time.process_time()
found = decoder.decode(syndrome)
spent = time.process_time() - start
print(json.dumps([error.size / spent / 1e6, float(np.array_equal(found, error))]))
"""


@cache
def sequence(rate: float) -> tuple[float, float] | None:
    """Return SeQUeNCe's Mbit/s and its parities per bit of frames of 10240 bits."""
    return _run("sequence", SEQUENCE, str(rate))


@cache
def qkdpy(rate: float) -> tuple[float, float] | None:
    """Return qkdpy's Mbit/s of Cascade, and of Toeplitz hashing of 2000 bits."""
    return _run("qkdpy", QKDPY, str(rate))


def ldpc(code: Code, rate: float) -> tuple[float, float] | None:
    """Return the Mbit/s of the package `ldpc` on our matrix, and whether it found the errors."""
    lanes = np.arange(code.lifting)
    rows, columns = [], []
    for row in range(code.starts.size - 1):
        for edge in range(code.starts[row], code.starts[row + 1]):
            rows.append(row * code.lifting + lanes)
            turned = (lanes + code.shifts[edge]) % code.lifting
            columns.append(code.columns[edge] * code.lifting + turned)
    where = (np.concatenate(rows), np.concatenate(columns))
    shape = (code.syndrome_bits, code.length)
    matrix = sparse.csr_matrix((np.ones(where[0].size, np.uint8), where), shape=shape)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "matrix.npz"
        sparse.save_npz(file, matrix)
        return _run("ldpc", LDPC, str(rate), str(file))


def _run(package: str, program: str, *arguments: str) -> tuple[float, float] | None:
    folder = Path(tempfile.gettempdir()) / f"qnx-peer-{package}"
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", package]
        subprocess.run(pip, check=True, capture_output=True, timeout=DEADLINE_S)
        command = [python, "-c", program, *arguments]
        said = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=DEADLINE_S
        )
        first, second = json.loads(said.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return float(first), float(second)
