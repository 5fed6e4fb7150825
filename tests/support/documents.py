"""What the documents tell users to type."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("lock/*.md")])


def commands_in(text: str) -> list[str]:
    """Return the `qnx …` lines of a page's blocks and examples, without remarks and pipes.

    What the shell would put in is a 1.
    """
    whole = re.sub(r'"?\$\([^)]*\)"?', "1", re.sub(r"\\\n\s*", " ", text))
    lines = re.findall(r"^(?: {2,}|\$ )(?:\.venv/bin/)?(qnx [a-z].*)$", whole, re.MULTILINE)
    cut = [re.split(r"\s+#|\s{2,}|\s\|\s|\s>\s|\s&&\s|\s&$", line)[0].strip() for line in lines]
    # Synopses, with what may be left out or chosen, are no command lines.
    return [line for line in cut if not re.search(r"[\[\]…{}]|\.\.\.", line)]


def python_in(text: str) -> list[str]:
    """Return the Python of a page: its indented blocks from the first import on."""
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text, re.MULTILINE)
    found = []
    for block in blocks:
        start = re.search(r"^ +(?:from \S+ import|import) ", block, re.MULTILINE)
        if start is not None:
            found.append(textwrap.dedent(block[start.start() :]))
    return found
