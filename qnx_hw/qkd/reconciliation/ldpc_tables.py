"""Degree tables of the LDPC codes: how many edges end at columns of which degree.

Each was designed for syndromes of so many bits per 100 bits of the code's length, with checks of
equal degrees. Two sources (docs/decisions/0018-ldpc-degree-tables.md):

- 45 and 50: Elkouss, Leverrier, Alléaume and Boutros, "Efficient reconciliation protocol for
  discrete-variable quantum key distribution", ISIT 2009, table I;
- 15 to 25: our own, by density evolution for the same channel, because the published ones for
  these lengths leak up to 3 % more; 10 is the one for 15 with fewer columns of degree two, and 30
  stands between those for 25 and 45. The published ones for 10 and 30 to 40 leak more.
"""

from __future__ import annotations

Shape = dict[int, float]
"""Fraction of a code's edges by degree of the node at their end."""

DEGREES: dict[int, Shape] = {
    10: {2: 0.065, 3: 0.215, 6: 0.068, 7: 0.14, 8: 0.112, 20: 0.266, 26: 0.134},
    15: {
        2: 0.08383,
        3: 0.19600,
        6: 0.06832,
        7: 0.13972,
        8: 0.11246,
        20: 0.26564,
        23: 0.00201,
        26: 0.11365,
        30: 0.01837,
    },
    17: {
        2: 0.08883,
        3: 0.19657,
        6: 0.06501,
        7: 0.13258,
        8: 0.11785,
        20: 0.26564,
        26: 0.04935,
        30: 0.08416,
    },
    20: {2: 0.09404, 3: 0.20271, 7: 0.07640, 8: 0.24816, 9: 0.00863, 23: 0.00474, 26: 0.36533},
    22: {2: 0.09900, 3: 0.20568, 7: 0.03484, 8: 0.29734, 26: 0.31956, 30: 0.04358},
    25: {
        2: 0.09758,
        3: 0.19089,
        7: 0.06404,
        8: 0.19349,
        9: 0.03649,
        14: 0.03818,
        30: 0.23408,
        40: 0.14526,
    },
    30: {
        2: 0.130,
        3: 0.199,
        6: 0.081,
        7: 0.035,
        8: 0.106,
        9: 0.020,
        14: 0.021,
        15: 0.017,
        16: 0.012,
        18: 0.106,
        19: 0.026,
        30: 0.129,
        31: 0.037,
        40: 0.080,
    },
    45: {
        2: 0.16880,
        3: 0.20994,
        6: 0.18095,
        15: 0.03846,
        16: 0.02635,
        18: 0.23454,
        19: 0.05815,
        31: 0.08280,
    },
    50: {
        2: 0.14438,
        3: 0.19026,
        4: 0.01836,
        5: 0.00233,
        6: 0.04697,
        8: 0.05394,
        9: 0.05590,
        10: 0.01290,
        11: 0.00162,
        14: 0.06159,
        15: 0.13115,
        17: 0.01481,
        47: 0.00879,
        49: 0.00650,
        55: 0.00210,
        56: 0.00099,
        57: 0.11178,
        58: 0.06238,
        59: 0.05094,
        66: 0.02230,
    },
}


_SERVES = (
    (12.5, 10),
    (16.0, 15),
    (18.5, 17),
    (21.0, 20),
    (23.5, 22),
    (27.0, 25),
    (33.5, 30),
    (46.0, 45),
)
"""Which table leaks least up to each length of the syndrome, at 1e5 bits (measured)."""


def shape_for(percent: float) -> Shape:
    """Return the shares of edges for syndromes of any length."""
    return DEGREES[next((table for limit, table in _SERVES if percent <= limit), max(DEGREES))]
