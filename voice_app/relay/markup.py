"""What marks look like: the patterns that `voice_app.relay.speech_text` reads models' text with.

A name that ends in ``_begun`` matches everything that could still become its namesake with more text.
"""

from __future__ import annotations

import re
from typing import Final

EMOJI: Final = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u25a0-\u25ff\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa"
    "\u200b\u2060\ufe0e\ufe0f\u20e3\ufeff\ue000-\uf8ff\U000e0020-\U000e007f"
)
"""Pictures, and characters without a shape of their own, as a set of `re`."""
ARROWS: Final = "\u2190-\u21ff"
BULLETS: Final = "•◦‣"
ENTITIES: Final = {
    "amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "#39": "'", "nbsp": " ", "ndash": "–",
    "mdash": "—", "hellip": "…", "copy": "©", "reg": "®", "euro": "€", "pound": "£", "deg": "°",
}  # fmt: skip
"""The HTML entities that models write; others stay as they are."""
TAGS: Final = (
    "a|abbr|b|big|blockquote|br|center|code|dd|del|details|div|dl|dt|em|font|h[1-6]|hr|i|img|ins|kbd|li|mark"
    "|ol|p|pre|q|s|samp|small|span|strike|strong|sub|summary|sup|table|tbody|td|th|thead|think|thinking|tr|tt"
    "|u|ul|var"
)

# A set at the front lets `re` skip ordinary text fast; what follows it looks back at what was found. An "h"
# or a "w" is special where an address begins, or where one may begin at the end of the chunk.
_MARKS: Final = (
    rf"[*_`\[\]|~<&\\\n{EMOJI}{ARROWS}{BULLETS}!hHwW]"
    r"(?:(?<![!hHwW])|(?<=!)(?=\[|\Z)|(?<![^\W_].)(?:"
    r"(?<=[hH])(?i:ttps?://|(?:t(?:t(?:p(?:s?(?::/?)?)?)?)?)?\Z)|(?<=[wW])(?i:ww\.|w{0,2}\Z)))"
)
special: Final = re.compile(_MARKS).search
special_in_block: Final = re.compile(rf"{_MARKS}|[ \t]+(?=[|\n#]|\Z)").search
special_at_start: Final = re.compile(rf"{_MARKS}|[-+=#>]").search

emoji: Final = re.compile(rf"[{EMOJI}][{EMOJI}\u200d]*").match
ticks: Final = re.compile(r"`+|\n").search
fence: Final = re.compile(r"(?:`{3,}|~{3,})[^`~\n]*").match
fence_end: Final = re.compile(r"[ \t]*(`+|~+|)[ \t]*").match
task: Final = re.compile(r"\[[ xX]\][ \t]").match
task_begun: Final = re.compile(r"\[(?:[ xX]\]?)?\Z").match
footnote: Final = re.compile(r"\[\^[^\]\s]{1,20}\]").match
footnote_begun: Final = re.compile(r"\[(?:\^[^\]\s]{0,20})?\Z").match
link: Final = re.compile(
    r"""\]\(\ ?(?:<[^<>\n]*>|(?:[^\s()<>]|\([^\s()<>]*\))*)(?:\ +(?:"[^"\n]*"|'[^'\n]*'))?\ ?\)""", re.VERBOSE
).match
link_begun: Final = re.compile(r"""\](?:\( ?<?[^\s<>]*>?(?: +(?:"[^"\n]*"?|'[^'\n]*'?)? ?)?)?\Z""").match

_ATTRIBUTE: Final = r"""\s+[\w:-]+=(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
tag: Final = re.compile(rf"<(/?(?:{TAGS}))(?:{_ATTRIBUTE})*\s*/?>", re.IGNORECASE).match
tag_begun: Final = re.compile(
    rf"""</?(?:[a-z][\w-]{{0,19}}(?:{_ATTRIBUTE})*"""
    r"""(?:\s+(?:[\w:-]+(?:=(?:"[^"<>]*"?|'[^'<>]*'?|[^\s"'<>]*))?)?)?/?)?\Z""",
    re.IGNORECASE,
).match
placeholder: Final = re.compile(r"<([A-Za-z][\w-]{0,19}(?: [\w-]+)?)>").match
autolink: Final = re.compile(r"<((?:https?://|www\.)[^\s<>]+|[A-Za-z][\w.+-]*@[^\s<>@]+)>").match
autolink_begun: Final = re.compile(r"<[A-Za-z][^\s<>]*\Z").match
thoughts_end: Final = re.compile(r"</think(?:ing)?>", re.IGNORECASE).search

_NOT_IN_ADDRESS: Final = r"\s<>()\[\]\"`*|"
address: Final = re.compile(rf"(?i:https?://|www\.)[^{_NOT_IN_ADDRESS}]*").match
address_end: Final = re.compile(rf"[{_NOT_IN_ADDRESS}]").search
spoken_address: Final = re.compile(
    r"(?:https?://)?(?:[^/?#@]*@)?(?:www\.)?"
    r"([^/?#]*)"
    r"((?:/[a-z]+(?:-[a-z]+)*){1,2}(?=/?(?:[?#]|\Z)))?",
    re.IGNORECASE,
).match
