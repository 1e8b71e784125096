"""How Sphinx builds these pages: `tox -e docs`, every warning an error."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "Event Protocol"
author = "The Event Protocol authors"
project_copyright = "The Event Protocol authors"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
# Pages are written for readers of the plain files too: no markup that only Sphinx understands.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
exclude_patterns = ["_build", "clients"]

# Docstrings mark names with single backticks, as Markdown does: code, and a link where one fits.
default_role = "py:obj"
smartquotes = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = "Event Protocol"
html_static_path = ["_static"]
html_css_files = ["pages.css"]


def setup(app: Sphinx) -> None:
    """Frames and sessions are shown as they are; the tests read them too."""
    for language in ("hex", "session"):
        app.add_lexer(language, TextLexer)
