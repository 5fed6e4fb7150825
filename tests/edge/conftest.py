"""What all tests of edges need."""

import pytest
from edge_net import compiled


@pytest.fixture(autouse=True)
def _loops_are_loaded(request: pytest.FixtureRequest) -> None:
    """Compile before a test's own deadline begins: on a busy machine that takes a minute."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and callspec.params.get("pump") == "compiled":
        compiled()
