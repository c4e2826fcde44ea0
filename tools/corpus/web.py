# SPDX-License-Identifier: MIT
"""HTML pages to plain text, split into sections at their headings.

Navigation, tables of contents, scripts and the like, known by tag, class or id, are dropped with
everything inside them. Source line breaks are blanks; only block elements, <br> and <pre> start lines.
"""
import re
from html.parser import HTMLParser

from .text import tidy_punctuation, unwrap_cjk

_SKIP_TAGS = frozenset("head script style nav header footer aside button noscript form svg".split())
_SKIP_CLASSES = frozenset("""navheader navfooter docnav toc book-navigation page-links footnote footnotes
    indexterm debug howtogetheader list-of-tables list-of-figures list-of-examples banner
    """.split())
_BLOCKS = frozenset("""p div section article ul ol dl dt dd li table tr pre blockquote h1 h2 h3 h4 h5 h6
    br hr center address caption title thead tbody""".split())
_PARAGRAPHS = frozenset("p pre blockquote table ul ol dl h1 h2 h3 h4 h5 h6".split())
_LISTS = frozenset(("ul", "ol"))
_CELLS = frozenset(("td", "th"))
_SPLIT_AT = frozenset(("h1", "h2"))
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


class _Page(HTMLParser):
    """Collects lines; `breaks` holds the line numbers where a new section starts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = [""]
        self.verbatim = 0                 # depth of <pre>
        self.skip_tag, self.skip_depth = "", 0

    def handle_starttag(self, tag, attrs):
        if self.skip_depth:
            self.skip_depth += tag == self.skip_tag
            return
        named = dict(attrs)
        classes = f"{named.get('class') or ''} {named.get('id') or ''}".split()
        if tag not in _VOID and (tag in _SKIP_TAGS or not _SKIP_CLASSES.isdisjoint(classes)):
            self.skip_tag, self.skip_depth = tag, 1
            return
        self._boundary("p" if "para" in classes else tag)
        if tag in _SPLIT_AT:
            self.lines[-1] = "\f"
        elif tag == "li":
            self.lines[-1] = "- "
        elif tag in _CELLS and self.lines[-1].strip():
            self.lines[-1] = self.lines[-1].rstrip() + " | "
        self.verbatim += tag == "pre"

    def handle_startendtag(self, tag, attrs):
        if not self.skip_depth:           # XHTML's <a id="x"/> opens nothing
            self._boundary(tag)

    def handle_endtag(self, tag):
        if self.skip_depth:
            self.skip_depth -= tag == self.skip_tag
            return
        self._boundary(tag)
        if tag == "pre":
            self.verbatim = max(0, self.verbatim - 1)

    def handle_data(self, data):
        if self.skip_depth:
            return
        if self.verbatim:
            first, *rest = data.expandtabs(8).split("\n")
            self.lines[-1] += first
            self.lines += rest
            return
        data = re.sub(r"\s+", " ", unwrap_cjk(data))
        if self.lines[-1].strip("\f ") == "" or self.lines[-1].endswith(" "):
            data = data.lstrip(" ")
        self.lines[-1] += data

    def _boundary(self, tag: str) -> None:
        """Start a line at a block element, after an empty one where it is a paragraph."""
        if tag not in _BLOCKS:
            return
        if self.lines[-1].strip(" ") not in ("", "-", "\f"):
            self.lines.append("")
        if tag not in _PARAGRAPHS or self.verbatim or len(self.lines) < 2 or self.lines[-1]:
            return
        if tag in _LISTS or not self.lines[-2].startswith("- "):     # items stand close together
            self.lines.append("")


def sections(html: str) -> list[str]:
    """Text of a page as its sections in order, each starting with its heading."""
    page = _Page()
    page.feed(html)
    page.close()
    text = "\n".join(line.rstrip() for line in page.lines)
    text = re.sub(r"[ \t]+\|[ \t]*(?=\n|$)", "", text)
    text = re.sub(r"(?m)^- *\n", "", tidy_punctuation(text))
    parts = (re.sub(r"\n{3,}", "\n\n", part).strip("\n") for part in text.split("\f"))
    return [part for part in parts if part.strip()]
