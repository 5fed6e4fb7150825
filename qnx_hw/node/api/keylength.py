"""Key lengths for those who plan a link; nothing is asked of any session."""

from __future__ import annotations

from qnx_hw.api.keylength import BlockCounts, KeyLength
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.qkd.finite_key import EpsilonBudget, bbm92_key_length


class KeyLengths:
    """Computes."""

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET",
                path="/keylength",
                handler=self._length,
                answers=KeyLength,
                query=BlockCounts,
                summary="How many secret bits one basis of a BBM92 or E91 block holds.",
            )
        ]

    async def _length(self, call: Call) -> KeyLength:
        counts: BlockCounts = call.query
        budget = EpsilonBudget(counts.epsilon_secrecy, counts.epsilon_correctness)
        try:
            length = bbm92_key_length(counts.n, counts.k, counts.errors, counts.leak, budget=budget)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        return KeyLength(bits=length.bits, phase_error_bound=length.phase_error_bound)
