"""Whatever is sent to an operation of the API, the answer is never an internal error."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_network import sample_network
from served_api import ServedApi, Site, served

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo.toml"
ANSWERS = {200, 400, 401, 403, 404, 405, 409, 413, 415, 422}


@pytest.fixture(name="api", scope="module")
def _api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    file = tmp_path_factory.mktemp("fuzz") / "lab.toml"
    file.write_text(EXAMPLE.read_text())
    with served(Site(snapshot=sample_network(), file=file)) as api:
        yield api


names = st.sampled_from(["alice-bob", "alice", "tagger", "3", "0", "-1", "9" * 30, "é", "a b"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | names
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def fields_of(document: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """Return the names that a command's body may have."""
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    reference = schema.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return list(document["components"]["schemas"].get(reference, {}).get("properties", {}))


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_no_request_makes_an_internal_error(api: ServedApi, draw: st.DataObject) -> None:
    document = DOCUMENT or DOCUMENT.update(api.client().openapi()) or DOCUMENT
    # A user would lock the door, and a stream does not end.
    paths = [path for path in document["paths"] if not path.endswith(("/users", "/stream"))]
    path = draw.draw(st.sampled_from(paths))
    method = draw.draw(st.sampled_from(list(document["paths"][path])))
    operation = document["paths"][path][method]
    filled = re.sub(r"\{\w+\}", lambda _: quote(draw.draw(names | texts) or "x", safe=""), path)
    if method == "get":
        asked = [one["name"] for one in operation["parameters"] if one["in"] == "query"]
        query = {name: str(draw.draw(scalars)) for name in asked if draw.draw(st.booleans())}
        status, answer, _ = api.ask("GET", f"{filled}?{urlencode(query)}")
    else:
        known = fields_of(document, operation)
        body = {name: draw.draw(anything) for name in known if draw.draw(st.booleans())}
        status, answer, _ = api.ask("POST", filled, json.dumps(body))

    assert status in ANSWERS
    if status >= 400:
        assert answer["error"]


DOCUMENT: dict[str, Any] = {}


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_schemathesis_finds_no_internal_error(api: ServedApi, tmp_path: Path) -> None:
    program = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis")
    if program is None:
        pytest.skip("install schemathesis elsewhere and name it in SCHEMATHESIS")
    ran = subprocess.run(
        [
            *(program, "run", f"{api.url}/api/v1/openapi.json"),
            *("--checks", "not_a_server_error", "--max-examples", "20"),
            *("--exclude-path-regex", "/(stream|users)$"),
            *("--header", "X-QNX-Client: test"),
        ],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=tmp_path,  # it leaves a folder of its own
        check=False,
    )

    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
