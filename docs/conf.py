"""Sphinx, with directives for the picture of the imports, and for lists read off the package."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from sphinx.pycode import ModuleAnalyzer

sys.path.insert(0, str(Path(__file__).parent))

project = "pytest-hydrasmoke"
html_title = project
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "drawn",
    "read_off_the_package",
    "search_words",
]
myst_enable_extensions = ["colon_fence", "deflist"]
# Down to sections, which other pages point to.
myst_heading_anchors = 2
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
_ACCENT = {"light": ("#0b7a75", "#075e5a"), "dark": ("#4fd1c5", "#81e6d9")}
html_theme_options = {
    f"{mode}_css_variables": {"color-brand-primary": main, "color-brand-content": content}
    for mode, (main, content) in _ACCENT.items()
}
# What a reader types is copied, without the prompt and without what the command prints.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
exclude_patterns = ["_build"]
# Where a name is defined is nobody's matter.
add_module_names = False
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
