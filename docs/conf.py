"""Settings of the documentation site; ``python -m nox -s docs`` builds it into docs/_build."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "piecewise-conformance"
author = "the piecewise-conformance authors"
project_copyright = author
version = release = version_of("piecewise-conformance")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "requirement_pages",  # the modules in _ext
    "cross_references",
    "link_check",
]
exclude_patterns = ["_build", "findings/repros"]
highlight_language = "none"  # of indented blocks: commands and output

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "piecewise-conformance"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "native"
