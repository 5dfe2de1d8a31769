"""Sphinx configuration: MyST pages, numpydoc reference, pages generated from the formats and the policies."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import generate  # noqa: E402

from lowbit._version import __version__  # noqa: E402

generate.write_all(DOCS / "_generated")

project = "lowbit"
author = "the lowbit authors"
project_copyright = "the lowbit authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "README.md"]  # that page is about this directory
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"lowbit {release}"
html_static_path = ["_static"]
html_css_files = ["wrap.css"]
pygments_style = "friendly"
