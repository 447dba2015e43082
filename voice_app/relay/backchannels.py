"""Sounds that say "go on" and ask for no answer, by language."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+")

_SOUNDS = frozenset("ah aha eh ha hm hmm hmmm m mh mhm mm mmm mmhm oh uh uhuh uhhuh um".split())  # noqa: SIM905
_WORDS = {
    "en": {
        "huh",
        "i",
        "see",
        "got",
        "it",
        "ok",
        "okay",
        "right",
        "sure",
        "yeah",
        "yep",
        "yes",
        "yup",
        "cool",
        "mhmm",
    },
    "es": {"ajá", "claro", "entiendo", "ok", "sí", "si", "vale", "ya", "bueno", "bien"},
    "fr": {"ah", "bon", "d", "accord", "hein", "je", "vois", "ok", "oui", "ouais", "voilà", "bien", "sûr"},
    "de": {
        "ach",
        "so",
        "aha",
        "genau",
        "gut",
        "ja",
        "jaja",
        "klar",
        "mhm",
        "ok",
        "okay",
        "stimmt",
        "verstehe",
    },
    "it": {"capito", "certo", "già", "ho", "ok", "sì", "va", "bene"},
    "pt": {"certo", "entendi", "ok", "pois", "sei", "sim", "tá", "claro", "bom"},
    "nl": {"ja", "jaja", "oke", "ok", "oké", "precies", "juist", "snap", "ik"},
}
_MOST = 3
"""More words than this are something said."""


def is_backchannel(text: str, language: str) -> bool:
    """Whether ``text`` is no more than a sound of listening, in the language of a BCP-47 tag."""
    words = [word.casefold() for word in _WORD.findall(text)]
    if not words or len(words) > _MOST or "?" in text:
        return False
    known = _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])
    return all(word in known or word in _SOUNDS for word in words)
