"""What marks look like: the patterns that `voice_app.relay.speech_text` reads models' text with.

A name that ends in ``_begun`` matches everything that could still become its namesake with more text. No
pattern has two repetitions in a row that could share a character: each is linear in what it looks at.
"""

from __future__ import annotations

import re
from typing import Final

from voice_app.calls.scripts import SPACELESS

EMOJI: Final = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u25a0-\u25ff\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa"
    "\u200b\u2060\u00ad\ufe0e\ufe0f\u20e3\ufeff\ue000-\uf8ff\U000e0020-\U000e007f"
)
"""Pictures, and characters without a shape of their own, as a set of `re`."""
ARROWS: Final = "\u2190-\u21ff"
BULLETS: Final = "•◦‣"
SEPARATORS: Final = f"{''.join(map(chr, range(0x2190, 0x2200)))}{BULLETS}|"
"""What is a pause between words."""
YES: Final = "✓✔☑✅"
NO: Final = "✗✘✖☒☐❌❎"
FULL_STARS: Final = "★⭐🌟"
EMPTY_STARS: Final = "☆✩"
CLOSING: Final = ".,;:!?)]}%…。，、！？；：）」』"
QUOTES: Final = "\"'“”„‘’«»‹›([（「"

TAGS: Final = (
    "a|abbr|answer|audio|b|big|blockquote|br|break|center|code|dd|del|desc|details|div|dl|dt|em|emphasis|font"
    "|h[1-6]|hr|i|img|ins|kbd|lang|li|mark|ol|p|phoneme|pre|prosody|q|s|samp|say-as|small|span|speak|spell"
    "|strike|strong|sub|summary|sup|table|tbody|td|th|thead|tr|tt|u|ul|var|voice|amazon:[a-z-]+|google:[a-z-]+"
    "|mstts:[a-z-]+"
)
"""Tags of HTML and SSML that mean nothing to a voice that gets text, wherever they stand."""

# A set at the front lets `re` skip ordinary text fast; what follows it looks back at what was found. An "h"
# or a "w" is special where an address begins, or where one may begin at the end of the chunk.
_SET: Final = rf"*_`\[\]|~<&\\\n{{◁【{EMOJI}{ARROWS}{BULLETS}!hHwW"
_CONDITION: Final = (
    r"(?:(?<![!hHwW])|(?<=!)(?=\[|\Z)|(?<![A-Za-z0-9].)(?:"
    r"(?<=[hH])(?i:ttps?://|(?:t(?:t(?:p(?:s?(?::/?)?)?)?)?)?\Z)|(?<=[wW])(?i:ww\.|w{0,2}\Z)))"
)
special: Final = re.compile(f"[{_SET}]{_CONDITION}").search
special_in_block: Final = re.compile(rf"[{_SET}]{_CONDITION}|[ \t](?=[ \t|\n#]|\Z)").search
special_at_start: Final = re.compile(f"[-+=#>{_SET}]{_CONDITION}").search

_SIGNS: Final = f"{YES}{NO}{FULL_STARS}{EMPTY_STARS}"
emoji: Final = re.compile(rf"(?:(?![{_SIGNS}])[{EMOJI}])(?:(?![{_SIGNS}])[{EMOJI}\u200d])*").match
sign: Final = re.compile(
    rf"(?P<yes>[{YES}][{YES}\ufe0f]*)|(?P<no>[{NO}][{NO}\ufe0f]*)"
    rf"|(?P<full>[{FULL_STARS}\ufe0f]*)(?P<empty>[{EMPTY_STARS}\ufe0f]*)"
).match
"""A row of check marks, or of stars; it always matches, perhaps nothing."""
MAX_STARS: Final = 10
"""A longer row is an ornament."""
ticks: Final = re.compile(r"`+|\n").search
fence: Final = re.compile(r"(?:`{3,}|~{3,})([^`~\n]*)").match
fence_end: Final = re.compile(r"[ \t]*(`+|~+|)[ \t]*").match
task: Final = re.compile(r"\[[ xX]\][ \t]").match
task_begun: Final = re.compile(r"\[(?:[ xX]\]?)?\Z").match

citation: Final = re.compile(
    r"\[(?:\^[^\]\s]{1,20}|(?P<number>\d{1,3}(?:\ ?[,;–-]\ ?\d{1,3}){0,9})"
    r"|(?i:citation\ needed|(?:doc|source|ref|cite)[\ :]?\d{0,3}))\]",
    re.VERBOSE,
).match
citation_begun: Final = re.compile(
    r"\[(?:\^[^\]\s]{0,20}|[\d ,;–-]{0,60}|(?i:[a-z]{0,8})[ :]?(?i:[a-z]{0,6}|\d{0,3}))\Z"
).match
lenticular: Final = re.compile(r"【([^【】\n]{0,80})】").match
lenticular_begun: Final = re.compile(r"【[^【】\n]{0,80}\Z").match
source: Final = re.compile(rf"[^{SPACELESS}가-힯]*|.*†.*").fullmatch
"""What stands in 【…】 where it names a source: ``4:0†terms.pdf``, ``1``, ``source``. Models write these
brackets for citations in every language; Chinese, Japanese and
Korean set headings in them (【重要】), which stay."""
definition: Final = re.compile(r"\[[^\]\n]{1,80}\]:[ \t]{0,8}<?(?:https?://|www\.|mailto:|[/#])").match
definition_begun: Final = re.compile(
    r"\[(?:[^\]\n]{1,80}(?:\](?::[ \t]{0,8}<?[a-z]{0,6}(?::/?)?)?)?)?\Z"
).match
INDEXED: Final = frozenset(
    [
        "arg",
        "args",
        "argv",
        "arr",
        "array",
        "arrays",
        "cell",
        "cells",
        "col",
        "cols",
        "column",
        "columns",
        "data",
        "element",
        "elements",
        "entry",
        "field",
        "fields",
        "from",
        "idx",
        "in",
        "index",
        "item",
        "items",
        "key",
        "keys",
        "line",
        "lines",
        "list",
        "lists",
        "matrix",
        "of",
        "option",
        "page",
        "pages",
        "per",
        "row",
        "rows",
        "see",
        "step",
        "table",
        "value",
        "values",
        "vector",
    ]
)
"""Words after which a number in brackets is an index or a name, not a citation."""
identifier: Final = re.compile(r"\w*(?:_|\d|[a-z][A-Z])\w*|\w").fullmatch
last_word: Final = re.compile(r"(\w+)[ ]?\Z").search

link: Final = re.compile(
    r"""\]\(\ ?(?:<[^<>\n]*>|(?:[^\s()<>]|\([^\s()<>]*\))*)(?:\ +(?:"[^"\n]*"|'[^'\n]*'))?\ ?\)""", re.VERBOSE
).match
link_begun: Final = re.compile(r"""\](?:\( ?<?[^\s<>]*>?(?: +(?:"[^"\n]*"?|'[^'\n]*'?)? ?)?)?\Z""").match

_ATTRIBUTE: Final = r"""\s+[\w:-]+=(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
tag: Final = re.compile(rf"</?({TAGS})(?:{_ATTRIBUTE})*\s*/?>", re.IGNORECASE).match
other_tag: Final = re.compile(rf"<(/?)([A-Za-z][\w:.-]{{0,30}})((?:{_ATTRIBUTE})*)\s*(/?)>").match
tag_begun: Final = re.compile(
    rf"""</?(?:[a-z][\w:.-]{{0,30}}(?:{_ATTRIBUTE})*"""
    r"""(?:\s+(?:[\w:-]+(?:=(?:"[^"<>]*"?|'[^'<>]*'?|[^\s"'<>]*))?)?)?/?)?\Z""",
    re.IGNORECASE,
).match
placeholder: Final = re.compile(r"<([A-Za-z][\w-]{0,19}(?: [\w-]+)?)>").match
autolink: Final = re.compile(r"<((?:https?://|www\.)[^\s<>]+|[A-Za-z][\w.+-]*@[^\s<>@]+)>").match
autolink_begun: Final = re.compile(r"<[A-Za-z][^\s<>]*\Z").match

entity: Final = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z][A-Za-z\d]{1,31});").match
entity_begun: Final = re.compile(r"&(?:#(?:\d{0,7}|[xX][\da-fA-F]{0,6})|([A-Za-z][A-Za-z\d]{0,31})?)\Z").match

# An address ends where a script without spaces begins, at its punctuation, and at Korean particles.
_NOT_IN_ADDRESS: Final = (
    rf"\s<>()\[\]\"`*|“”„«»…—{SPACELESS}\u3000-\u303f\u1100-\u11ff\uac00-\ud7af\uff00-\uffef"
)
address: Final = re.compile(rf"(?i:https?://|www\.)[^{_NOT_IN_ADDRESS}]*").match
address_end: Final = re.compile(rf"[{_NOT_IN_ADDRESS}]").search
spoken_address: Final = re.compile(
    r"(?:https?://)?(?:[^/?#@]*@)?(?:www\.)?"
    r"([^/?#]*)"
    r"((?:/[a-z]+(?:-[a-z]+)*){1,2}(?=/?(?:[?#]|\Z)))?",
    re.IGNORECASE,
).match
