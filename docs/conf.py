"""How Sphinx builds the documentation site from what `docs/reference.py` writes."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

project = "Trustset"
extensions = ["myst_parser"]
# Headings get the anchors that links within the pages use, as code hosts make them.
myst_heading_anchors = 3
nitpicky = True
# Quotation marks of values are typed as they stand.
smartquotes = False

html_theme = "pydata_sphinx_theme"
html_title = "Trustset"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
# Pages with no other page beside or below them.
html_sidebars = {"tutorial": [], "promises": []}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
}


def refuse_other_hosts(app: Sphinx, exception: Exception | None) -> None:
    """Raise where a page loads a script, a style, a font or a picture from another host."""
    loading = re.compile(
        r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["'](?:https?:)?//|url\(["']?(?:https?:)?//"""
    )
    if exception is None:
        for path in [*Path(app.outdir).rglob("*.html"), *Path(app.outdir).rglob("*.css")]:
            if loading.search(path.read_text("utf-8")):
                raise ExtensionError(f"{path} loads something from another host")


def setup(app: Sphinx) -> None:
    app.connect("build-finished", refuse_other_hosts)
