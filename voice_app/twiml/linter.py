"""Finds what Twilio would refuse or silently ignore, before a caller does.

`lint_text` and `lint_bytes` take a document as Twilio would get it; `lint_path` takes templates as people
edit them, fills them in with made-up calls and reports against the template's own lines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError

from voice_app.findings import Finding, Severity
from voice_app.twiml import flow, grammar
from voice_app.twiml.document import (
    DocumentError,
    EncodingDocumentError,
    UnsafeDocumentError,
    declared_encoding,
    decode,
    is_utf8_name,
    parse,
)
from voice_app.twiml.rendering import Failure, Place, Rendering, TemplateStudy, undefined_name
from voice_app.twiml.rules import RULES, Breach
from voice_app.twiml.samples import FULL
from voice_app.twiml.templates import ANSWER, FOLDER, ROLES, Sources, shipped_folder, variables
from voice_app.twiml.vocabulary import VOCABULARY, Vocabulary, nearest

MAX_DOCUMENT_BYTES: Final = 64 * 1024
"""Of a document that Twilio fetches."""
MAX_PARAMETER_CHARACTERS: Final = 4_000
"""Of a document that is sent as the ``Twiml`` parameter of Twilio's REST API."""


def lint_text(source: str, name: str, *, vocabulary: Vocabulary = VOCABULARY) -> list[Finding]:
    """Check a TwiML document. ``name`` is what findings call it."""

    def line(offset: int) -> int:
        return source.count("\n", 0, offset) + 1

    return [
        breach.finding(
            name,
            line(breach.offset),
            tuple(f"{what} stands at {name}:{line(offset)}" for what, offset in breach.related),
        )
        for breach in sorted(_breaches(source, vocabulary), key=lambda breach: breach.offset)
    ]


def lint_bytes(data: bytes, name: str, *, vocabulary: Vocabulary = VOCABULARY) -> list[Finding]:
    """Check a TwiML document as it comes over the wire: its encoding too."""
    try:
        source = decode(data)
    except EncodingDocumentError as error:
        line = data.count(b"\n", 0, error.offset) + 1
        return [Breach(rule="TWI128", offset=0, message=error.message).finding(name, line)]
    declared = declared_encoding(source)
    if declared and not is_utf8_name(declared):
        start = source.index(declared)
        source = f"{source[:start]}UTF-8{source[start + len(declared) :]}"  # It is text by now.
    return lint_text(source, name, vocabulary=vocabulary)


def lint_path(path: Path, *, vocabulary: Vocabulary = VOCABULARY) -> list[Finding]:
    """Check a template, or every template of a folder (``*.xml``, subfolders too).

    A file whose name starts with ``_`` is a partial: it is checked where other templates include it.
    Plain TwiML in a file is a template without variables.
    """
    try:
        if path.is_dir():
            names = _template_names(path)
            if not names:
                return [_unreadable(path, "There is no template (*.xml) in this folder.")]
            return _lint_folder(path, names, vocabulary)
        if not path.is_file():
            return [_unreadable(path, "There is no such file or folder.")]
        return _lint_file(path, vocabulary)
    except OSError as error:
        return [_unreadable(path, f"It cannot be read: {error.strerror}.")]


def _lint_folder(path: Path, names: Collection[str], vocabulary: Vocabulary) -> list[Finding]:
    sources = _sources(path)
    linter = TemplateLinter(sources, vocabulary)
    findings, served = linter.lint(names), {ANSWER, *ROLES}
    if not served.isdisjoint(names):  # else it has documents that no server of ours answers with
        for name in served:
            linter.study.family(name)
        findings += filter(None, [borrowed(sources)])
    return findings


def borrowed(sources: Sources) -> Finding | None:
    """The templates among those that were read that the folder lacks: those that ship are served."""
    missing = sorted(name for name, path in sources.files.items() if not path.is_relative_to(sources.folder))
    if not missing:
        return None
    return RULES["TWI207"].finding(
        str(sources.folder), f"It has no {', '.join(missing)}: what ships is served instead."
    )


def _lint_file(path: Path, vocabulary: Vocabulary) -> list[Finding]:
    root = next((parent for parent in path.parents if parent.name == FOLDER), path.parent)
    linter, name = TemplateLinter(_sources(root), vocabulary), path.relative_to(root).as_posix()
    if not path.name.startswith("_"):
        return linter.lint([name])
    users = [other for other in _template_names(root) if name in linter.study.family(other)]
    if not users:
        unused = _unreadable(path, "No template includes this partial, so it was not checked.")
        return [msgspec.structs.replace(unused, severity=Severity.WARNING)]
    return [finding for finding in linter.lint(users) if finding.where == str(path)]


def _sources(folder: Path) -> Sources:
    return Sources(folder, shipped_folder())


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by file and line."""
    return sorted(findings, key=lambda finding: (finding.where, finding.line or 0, finding.rule))


def _template_names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.xml")
        if not path.name.startswith(("_", "."))
    )


def _breaches(source: str, vocabulary: Vocabulary) -> Iterator[Breach]:
    try:
        document = parse(source)
    except DocumentError as error:
        rule = "TWI102" if isinstance(error, UnsafeDocumentError) else "TWI101"
        yield Breach(rule=rule, offset=error.offset, message=error.message, fix=error.fix, subject="document")
        return
    yield from _whole(source)
    yield from grammar.breaches(document, vocabulary)
    yield from flow.breaches(document, vocabulary)


def _whole(source: str) -> Iterator[Breach]:
    """What is wrong with a document as a whole: its size, and an encoding that is not the UTF-8 we send."""
    declared = declared_encoding(source)
    if declared and not is_utf8_name(declared):
        yield Breach(
            rule="TWI128",
            offset=0,
            subject="encoding",
            message=f"The XML declaration says {declared}, but the document is sent as UTF-8.",
            severity=Severity.WARNING if source.isascii() else None,
        )
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > MAX_DOCUMENT_BYTES:
        yield Breach(
            rule="TWI127",
            offset=0,
            subject="size",
            message=f"The document has {size:,} bytes; Twilio takes {MAX_DOCUMENT_BYTES:,} at most.",
        )
    elif len(source) > MAX_PARAMETER_CHARACTERS:
        yield Breach(
            rule="TWI127",
            offset=0,
            subject="size",
            message=f"The document has {len(source):,} characters; as the Twiml parameter of the REST API "
            f"it may have {MAX_PARAMETER_CHARACTERS:,} (32018).",
            severity=Severity.NOTE,
        )


def _unreadable(path: Path, message: str) -> Finding:
    return Breach(
        rule="TWI205", offset=0, message=message, fix="Name a TwiML file, or the folder of your templates."
    ).finding(str(path), None)


class TemplateLinter:
    """Templates under examination."""

    def __init__(self, sources: Sources, vocabulary: Vocabulary) -> None:
        self.study = TemplateStudy(sources)
        self._sources = sources
        self._vocabulary = vocabulary

    def lint(self, names: Collection[str]) -> list[Finding]:
        """Check templates along every way through them."""
        found: dict[tuple[str, ...], Finding] = {}
        for name in names:
            found = self.check(self.study.renderings(name)) | found
        return in_order(found.values())

    def check(self, renderings: Iterable[Rendering | Failure]) -> dict[tuple[str, ...], Finding]:
        """The findings of one template's renderings, by what makes them the same in another."""
        found: dict[tuple[str, ...], Finding] = {}
        seen: set[tuple[str, bool]] = set()
        for rendering in renderings:
            if isinstance(rendering, Failure):
                found = self._failed(rendering) | found
            elif not {(rendering.text, rendering.invented), (rendering.text, False)} & seen:
                seen.add((rendering.text, rendering.invented))
                found = self._rendered(rendering) | found
        return found

    def _where(self, place: Place) -> str:
        try:
            return str(self._sources.path(place.template))
        except TemplateNotFound:
            return str(self._sources.folder / place.template)

    def _rendered(self, rendering: Rendering) -> dict[tuple[str, ...], Finding]:
        found: dict[tuple[str, ...], Finding] = {}
        for breach in _breaches(rendering.text, self._vocabulary):
            if (rendering.forced and breach.rule == "TWI123") or (rendering.invented and breach.combines):
                continue
            place = rendering.place(breach.offset)
            related = [(what, rendering.place(offset)) for what, offset in breach.related]
            evidence = [f"{what} stands at {self._where(other)}:{other.line}" for what, other in related]
            evidence += _label(rendering.label)
            key = (breach.rule, place.template, str(place.line), breach.subject)
            found.setdefault(key, breach.finding(self._where(place), place.line, tuple(evidence)))
        return found

    def _failed(self, failure: Failure) -> dict[tuple[str, ...], Finding]:
        breach = self._diagnosis(failure.error)
        place = failure.place
        depends = isinstance(failure.error, UndefinedError) or breach.rule == "TWI204"
        evidence = _label(failure.label) if depends else ()
        key = (breach.rule, place.template, str(place.line), type(failure.error).__name__)
        return {key: breach.finding(self._where(place), place.line, evidence)}

    def _diagnosis(self, error: Exception) -> Breach:
        match error:
            case TemplateSyntaxError():
                rule, fix = "TWI201", "Correct the template at this line."
                message = f"Jinja cannot read the template: {error.message}."
            case UndefinedError():
                rule, fix = "TWI202", _variable_fix(undefined_name(error))
                message = f"The template uses what is not there: {error.message}."
            case TemplateNotFound():
                missing = str(error.name or error)
                meant = nearest(missing, self.study.list_templates())
                rule, fix = (
                    "TWI203",
                    f"Did you mean {meant!r}?" if meant else f"Add it to {self._sources.folder}.",
                )
                message = f"There is no template {missing!r}."
            case OSError() | UnicodeError():
                rule, fix = "TWI205", "Save the template as UTF-8 and let the server read it."
                message = f"The template cannot be read: {error}."
            case _:
                rule, fix = "TWI204", "Correct the expression at this line."
                message = f"The template fails: {str(error).rstrip('.')} ({type(error).__name__})."
        return Breach(rule=rule, offset=0, message=message, fix=fix)


def _label(label: str) -> tuple[str, ...]:
    return (f"rendered with {label}",) if label else ()


def _variable_fix(name: str | None) -> str:
    known = variables(FULL)
    if name is None:
        return "Test for it first: {% if … is defined %}."
    if meant := nearest(name, known):
        return f"Did you mean {meant}?"
    return f"Use one of {', '.join(known)}; or define it with {{% set {name} = … %}}."
