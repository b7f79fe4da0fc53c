"""Sphinx, with a directive for the picture of the architecture."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "pytest-hydrasmoke"
extensions = ["myst_parser", "sphinx.ext.autodoc", "picture_of_imports"]
myst_enable_extensions = ["deflist"]
# Down to sections, which other pages point to.
myst_heading_anchors = 2
html_theme = "furo"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autoclass_content = "class"
