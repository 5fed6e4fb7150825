"""The alignment algorithms by the names that a network file and the screens use."""

from __future__ import annotations

from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.control.polarization.aligner import Aligner
from qnx_hw.control.polarization.model_based import ModelBased
from qnx_hw.control.polarization.searches import (
    MakeSearch,
    Searching,
    coordinate,
    gaussian_process,
    line_search,
    nelder_mead,
    spgd,
    spsa,
)
from qnx_hw.errors import ConfigError

_SEARCHES: dict[str, MakeSearch] = {
    "coordinate": coordinate,
    "spsa": spsa,
    "spgd": spgd,
    "line": line_search,
    "nelder-mead": nelder_mead,
    "gaussian-process": gaussian_process,
}
ALGORITHMS = ("model", *_SEARCHES)


def make(name: str, actuator: Actuator, *, target: float) -> Aligner:
    """Return a policy that leaves the axes alone while both error rates are within `target`."""
    if name == "model":
        return ModelBased(actuator, target=target)
    if name not in _SEARCHES:
        raise ConfigError(f"no alignment algorithm '{name}'; there are {', '.join(ALGORITHMS)}")
    return Searching(actuator, _SEARCHES[name], target=target)
