# SPDX-License-Identifier: MIT
"""Manual pages (the man macro set of roff) to plain text.

Covers what man pages use: headings, paragraphs, tagged lists, font changes, no-fill blocks, the common
escapes. Pages in the mdoc set and pages that only include another page come back as None.
"""
import re
from typing import Optional

_GLYPHS = {"aq": "'", "co": "©", "em": "—", "en": "–", "bu": "•", "dq": '"', "lq": "“", "rq": "”",
           "oq": "‘", "cq": "’", "rs": "\\", "ti": "~", "ha": "^", "ga": "`", "->": "→", "<-": "←",
           ">=": "≥", "<=": "≤", "mu": "×", "hy": "-", "mi": "-", "R": "®", "Tm": "™", "sq": "□"}
_FONT_MACROS = frozenset("B I R SM SB BR RB BI IB IR RI".split())
_PARAGRAPH = frozenset("PP P LP sp HP".split())
_SKIP_UNTIL = {"de": "..", "TS": ".TE", "EQ": ".EN", "ig": ".."}
_NAME_END = r"(?:\((..)|\[([^\]]*)\]|(.))"


def unescape(text: str) -> str:
    """Replace roff escapes by the characters they stand for; drop font and size changes."""
    text = re.sub(r'\\".*', "", text)
    text = re.sub(r"\\f(?:\(..|\[[^\]]*\]|.)", "", text)
    text = re.sub(r"\\s[-+]?(?:\d|\([-+]?\d\d|\[[^\]]*\])", "", text)
    text = re.sub(r"\\[hvwm]'[^']*'|\\m\[[^\]]*\]|\\k.", "", text)
    text = re.sub(r"\\\*" + _NAME_END, lambda m: _GLYPHS.get(m[1] or m[2] or m[3], ""), text)
    text = re.sub(r"\\(?:\((..)|\[([^\]]*)\])", lambda m: _GLYPHS.get(m[1] or m[2] or "", ""), text)
    text = re.sub(r"\\[&/,|^%:c!)]", "", text)
    text = text.replace("\\-", "-").replace("\\~", " ").replace("\\ ", " ").replace("\\0", " ")
    return text.replace("\\'", "'").replace("\\`", "`").replace("\\.", ".").replace("\\e", "\\")


def _arguments(rest: str) -> list[str]:
    """Split a macro's arguments; double quotes keep blanks."""
    found = re.findall(r'"((?:[^"]|"")*)"?|((?:\\.|[^\s"])+)', rest)
    return [quoted.replace('""', '"') or bare for quoted, bare in found]


class _Page:
    """Lines of the page so far, and what the next input line means."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.text = ""                # the paragraph being filled
        self.fill = True
        self.tag_next = False         # after .TP the next line is the tag

    def flush(self) -> None:
        if self.text.strip():
            self.lines.append(self.text.strip())
        self.text = ""

    def gap(self) -> None:
        self.flush()
        self.lines.append("")

    def add(self, text: str) -> None:
        if not self.fill:
            self.lines.append(text)
        elif self.tag_next:
            self.gap()
            self.lines.append(text.strip())
            self.tag_next = False
        else:
            self.text += " " + text.strip()

    def macro(self, name: str, args: list[str]) -> None:
        if name in ("SH", "SS"):
            self.gap()
            self.fill = True
            self.lines.append(unescape(" ".join(args)))
        elif name in _PARAGRAPH:
            self.gap()
        elif name == "TP":
            self.flush()
            self.tag_next = True
        elif name == "IP":
            self.gap()
            self.text = unescape(args[0]) if args else ""
        elif name == "br":
            self.flush()
        elif name in ("nf", "fi", "EX", "EE"):
            self.flush()
            self.fill = name in ("fi", "EE")
        elif name in _FONT_MACROS and args:
            self.add(unescape(("" if len(name) == 2 and name not in ("SM", "SB") else " ").join(args)))


def page_text(source: str) -> Optional[str]:
    """Text of a manual page, or None for a page this module does not read."""
    if re.search(r"(?m)^\.(Dd|Sh|so)\b", source):
        return None
    page, until = _Page(), ""
    for line in source.replace("\\\n", "").split("\n"):
        if until:
            until = "" if line.startswith(until) else until
            continue
        if line.startswith((".\\\"", "'\\\"", "'")) or line.strip() == ".":
            continue
        if not line.startswith("."):
            page.add(unescape(line)) if line.strip() else page.gap()
            continue
        found = re.match(r"\.\s*(\S+)\s*(.*)", line)
        if found:
            name, rest = found.groups()
            until = _SKIP_UNTIL.get(name, "")
            page.macro(name, _arguments(rest))
    page.flush()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(page.lines)).strip("\n")
