"""Markdown of model cards as HTML. Whatever is in it, no tag of it is passed on, and no address but those of pages."""

from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup

_LOWERED = 2
"""Levels by which headings go down, below those of the page."""


def as_html(text: str) -> Markup:
    """The text as HTML: tags in it are shown as text, its headings stand below those of a page, its images are left out."""
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + _LOWERED)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 # html is off: tags are escaped


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
