"""The documents that calls are answered with: loaded and linted together, and served from nowhere else.

What is judged is what is sent. Every template that a call can come to is read once, filled in with the
settings of each number and checked; only these texts, compiled, are served. `Documents.reload` reads them
anew and changes over only if nothing refuses. What a process has judged before, with the same texts and the
same values, is not judged again.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from threading import Lock
from types import CodeType
from typing import Final

from cachetools import LRUCache
from jinja2 import BytecodeCache, Environment, TemplateError, TemplateNotFound
from jinja2.bccache import Bucket

from voice_app.findings import Finding, refuses
from voice_app.settings import NumberSettings, plain_address
from voice_app.twiml.linter import TemplateLinter, borrowed, in_order
from voice_app.twiml.prefilled import Prefilled
from voice_app.twiml.rendering import Rendering
from voice_app.twiml.rules import RULES
from voice_app.twiml.samples import JOINED, samples_of, settings_of
from voice_app.twiml.templates import ROLES, Context, Sources, options, shipped_folder, values_of
from voice_app.twiml.vocabulary import VOCABULARY, Vocabulary

_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_NAMED: Final = re.compile(r"""\bconversation(?:Configuration|Id)\s*=\s*["']([^"']+)["']""")
_CONFIGURATION: Final = re.compile(r"""\bconversationConfiguration\s*=\s*["']([^"']+)["']""")
_CONVERSATION: Final = re.compile(r"""\bconversationId\s*=\s*["']([^"']+)["']""")


@dataclass(frozen=True, slots=True)
class CheckedTemplates:
    """The templates of one moment, and what is wrong with them. Other processes may serve them unread."""

    sources: Sources
    findings: list[Finding]
    named: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The templates of one moment."""

    sources: Sources
    vocabulary: Vocabulary
    prefilled: Prefilled
    findings: list[Finding]
    named: Mapping[str, str]


_JUDGED: Final[LRUCache[Hashable, _Loaded]] = LRUCache(32)
"""What was loaded last, by folders, vocabulary and values; never with findings that refuse."""
_JUDGED_LOCK: Final = Lock()


class _Compiled(BytecodeCache):
    """Templates as they were compiled: where a folder is read again, few of them are new."""

    def __init__(self) -> None:
        self._codes: LRUCache[tuple[str, str], CodeType | None] = LRUCache(256)
        self._lock = Lock()

    def load_bytecode(self, bucket: Bucket) -> None:
        with self._lock:
            bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        with self._lock:
            self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED: Final = _Compiled()


class Documents:
    """The templates of a folder for the numbers of a server, checked.

    ``numbers`` has the settings of each number; those under ``""`` are for every other. ``findings`` is what
    is wrong with the documents that are served, as `lint_path` reports it; where they refuse, serve nothing.
    ``checked`` is what another process has read and checked for the same settings: then nothing is read.
    """

    def __init__(
        self,
        folder: Path,
        numbers: Mapping[str, NumberSettings],
        *,
        vocabulary: Vocabulary = VOCABULARY,
        checked: CheckedTemplates | None = None,
    ) -> None:
        self.folder = folder
        self._numbers = numbers
        self._vocabulary = vocabulary
        self._loaded = self._load() if checked is None else self._loaded_from(checked)

    @property
    def checked(self) -> CheckedTemplates:
        """What is served, for another process."""
        loaded = self._loaded
        return CheckedTemplates(loaded.sources, loaded.findings, loaded.named)

    @property
    def findings(self) -> list[Finding]:
        return self._loaded.findings

    @property
    def texts(self) -> tuple[str, ...]:
        """The templates that a call can come to, as they were written."""
        return tuple(self._loaded.sources.texts.values())

    @property
    def named(self) -> Mapping[str, str]:
        """The configuration that the documents of each number name, setting or template; else, the
        conversation that they join. A number whose documents name neither is not in it; those without
        settings of their own stand under ``""``.
        """
        return self._loaded.named

    def named_by(self, number: str) -> str:
        """What `named` has for a number, written as Twilio writes it; empty if that is nothing."""
        number = plain_address(number)
        return self.named.get(number if number in self._numbers else "", "")

    def render(self, name: str, context: Context) -> str:
        """The TwiML of ``name`` (e.g. ``answer.xml``).

        Raises `jinja2.TemplateError` for a template that is missing or broken: `findings` has it.
        """
        return self._loaded.prefilled.render(name, context)

    def reload(self) -> list[Finding]:
        """Read everything again, and give what is wrong with it. Where that refuses, nothing else changes.

        It takes a quarter of a second where something has changed; call it in a thread.
        """
        loaded = self._load()
        if not refuses(loaded.findings):
            self._loaded = loaded
        return loaded.findings

    def _load(self) -> _Loaded:
        distinct = self._distinct()
        values = repr([(numbers, key) for key, (numbers, _) in distinct.items()])
        own = (
            (self.folder, self.folder.absolute()) if self.folder.exists() else None
        )  # else where is no matter
        place = (own, shipped_folder())
        judged: Hashable = (place, id(self._vocabulary), values)
        with _JUDGED_LOCK:
            loaded = _JUDGED.get(judged)
        if loaded is None or not loaded.sources.unchanged():
            loaded = self._judge(distinct.values())
            if not refuses(loaded.findings):
                with _JUDGED_LOCK:
                    _JUDGED[judged] = loaded
        return loaded

    def _loaded_from(self, checked: CheckedTemplates) -> _Loaded:
        prefilled = Prefilled(_compiled(checked.sources))
        return _Loaded(checked.sources, self._vocabulary, prefilled, checked.findings, checked.named)

    def _judge(self, distinct: Iterable[tuple[list[str], NumberSettings]]) -> _Loaded:
        sources = Sources(self.folder, shipped_folder())
        linter = TemplateLinter(sources, self._vocabulary)
        found: dict[tuple[str, ...], Finding] = {}
        named: dict[str, str] = {}
        studied: set[str] = set()
        for numbers, settings in distinct:
            number = numbers[0]
            documents: dict[str, list[str]] = {}
            for name in (settings.template, *ROLES):
                renderings = list(linter.study.with_samples(name, samples_of(number, settings)))
                documents[name] = [item.text for item in renderings if isinstance(item, Rendering)]
                if name not in studied:
                    studied.add(name)
                    renderings += linter.study.renderings(name, settings_of(settings))
                found = linter.check(renderings) | found
            if found_name := _named(documents):
                named |= dict.fromkeys(numbers, found_name)
            if lost := _lost_configuration(number, settings, documents, sources):
                found["TWI206", number] = lost
        if lacking := borrowed(sources):
            found["TWI207", ""] = lacking
        sources.seal()
        findings = in_order(found.values())
        return self._loaded_from(CheckedTemplates(sources, findings, named))

    def _distinct(self) -> dict[str, tuple[list[str], NumberSettings]]:
        """The numbers that are answered with the same values, and those values; by what tells them apart."""
        distinct: dict[str, tuple[list[str], NumberSettings]] = {}
        for number, settings in self._numbers.items():
            key = repr((settings.template, settings.answer, settings.transcribe, values_of(settings)))
            distinct.setdefault(key, ([], settings))[0].append(number)
        return distinct


def _named(documents: Mapping[str, list[str]]) -> str | None:
    """The configuration that documents name, else the conversation; the answer to a call first."""
    texts = [_COMMENT.sub("", text) for renderings in documents.values() for text in renderings]
    found = (
        unescape(match[1])
        for pattern in (_CONFIGURATION, _CONVERSATION)
        for text in texts
        for match in pattern.finditer(text)
    )
    return next((name for name in found if name != JOINED.conversation_id), None)


def _lost_configuration(
    number: str, settings: NumberSettings, documents: Mapping[str, list[str]], sources: Sources
) -> Finding | None:
    """A configuration is set, and the first document that could pass it on does not."""
    name = settings.template if settings.answer == "agent" else "handoff.xml"
    texts = documents[name]
    wanted = settings.conversation_configuration and settings.transcribe == "twiml"
    if not wanted or not texts or any(_NAMED.search(_COMMENT.sub("", text)) for text in texts):
        return None
    return RULES["TWI206"].finding(
        str(sources.files.get(name, sources.folder / name)),
        f"{name} does not pass the configuration {settings.conversation_configuration} on.",
        evidence=[f"it is set for {number or 'every number without a table of its own'}"],
    )


def _compiled(sources: Sources) -> Environment:
    environment = Environment(bytecode_cache=_COMPILED, **options(sources))  # noqa: S701 - autoescape is among the options
    for name in sources.files:
        try:
            template = environment.get_template(name)
            template.globals = dict(template.globals)  # a call would copy the chain of maps, name by name
        except TemplateNotFound:
            raise
        except TemplateError:
            continue  # The findings have it.
    return environment
