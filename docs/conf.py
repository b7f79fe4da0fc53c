"""Sphinx, with a directive for the picture of the architecture."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from sphinx.pycode import ModuleAnalyzer

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

for _name in ("pytest_hydrasmoke", "pytest_hydrasmoke.fake"):
    # Public classes are named after the package, where Sphinx then looks for what is said of their
    # attributes: it stands where they are written.
    _package, _whole = import_module(_name), ModuleAnalyzer.for_module(_name)
    _whole.analyze()
    for _home in sorted(set(_package._HOME_OF.values())):
        _part = ModuleAnalyzer.for_module(f"{_name}.{_home}")
        _part.analyze()
        _whole.attr_docs |= _part.attr_docs
        _whole.tagorder |= _part.tagorder
