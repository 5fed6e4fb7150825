"""Sphinx's settings: the pages are Markdown, read by MyST."""

project = "Quantum Nexus"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
html_theme = "alabaster"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
suppress_warnings = [
    "toc.not_included",  # the index links its pages in lines of its own
]
