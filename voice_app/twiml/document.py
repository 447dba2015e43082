"""A TwiML document read from text: its elements with their places, safely.

A document type declaration ends the reading, so there are no entities to expand and nothing is ever fetched.
Everything is in document order and iterative: a document nested a thousand deep is as harmless as any.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

_ATTRIBUTE = re.compile(r"""\s([^\s=<>"']+)\s*=\s*("[^"]*"|'[^']*')""")
_START = re.compile(r"""<[^\s/>]+(?:\s+[^\s=<>"']+\s*=\s*(?:"[^"]*"|'[^']*'))*""")
_BARE_AMPERSAND = re.compile(r"&(?![A-Za-z][A-Za-z0-9]*;|#[0-9]+;|#x[0-9A-Fa-f]+;)")
_ENCODING_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
"""XML 1.0, production 81."""
_NOT_OF_XML: Final = frozenset(
    {"utf-7", "punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"}
)
"""What Python can decode and an XML parser cannot: in them other text than it looks is hidden."""
_DECLARED: Final = re.compile(r"""<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"'>]*)["']""")
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BEFORE_DECLARATION = re.compile(r"\s+<\?xml")


class DocumentError(Exception):
    """The text is not a document that may be read."""

    def __init__(self, message: str, offset: int, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        """Where in the text, in characters from its start."""
        self.fix = fix


class UnsafeDocumentError(DocumentError):
    """It declares a document type or entities."""


class EncodingDocumentError(DocumentError):
    """Its bytes are not what its XML declaration says."""


@dataclass(slots=True, eq=False)
class Node:
    """One element of a document."""

    name: str
    attributes: dict[str, str]
    offset: int
    """Where its tag starts, in characters from the start of the text."""
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    text: str = ""
    """The text directly in it, without that of its children."""
    text_offset: int = 0
    """Where its first text that is not white space starts."""
    attribute_offsets: dict[str, int] = field(default_factory=dict)

    def place(self, attribute: str) -> int:
        """Where an attribute stands; the tag's own place if it is not there."""
        return self.attribute_offsets.get(attribute, self.offset)

    def named(self, *names: str) -> Iterator[Node]:
        """Its direct children of these names."""
        return (child for child in self.children if child.name in names)


@dataclass(slots=True, frozen=True)
class Document:
    """A document that is well-formed."""

    nodes: tuple[Node, ...]
    """Every element, in document order."""

    @property
    def root(self) -> Node:
        return self.nodes[0]


def decode(data: bytes) -> str:
    """The text of a document as Twilio reads its bytes: by their mark, the XML declaration, or as UTF-8.

    Raises `EncodingDocumentError` for bytes that the declaration does not fit.
    """
    declared = declared_encoding(data[:200].decode("latin-1"))
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), declared or "utf-8")
    try:
        if _ENCODING_NAME.fullmatch(encoding) is None or codecs.lookup(encoding).name in _NOT_OF_XML:
            raise LookupError
        text = data.decode(encoding)
    except LookupError:
        raise _undecodable(
            f"There is no encoding {encoding!r} in XML, which the XML declaration names.", 0
        ) from None
    except UnicodeError as error:
        offset = error.start if isinstance(error, UnicodeDecodeError) else 0
        says = (
            f"the XML declaration says {declared}"
            if declared
            else "there is no declaration that says otherwise"
        )
        raise _undecodable(f"The bytes are not {encoding.upper()}, and {says}.", offset) from None
    if not is_utf8_name(encoding) and not data.isascii() and _is_utf8(data):
        raise _undecodable(f"The XML declaration says {encoding}, but the bytes are UTF-8.", 0)
    return text


def declared_encoding(text: str) -> str:
    """The encoding that the XML declaration of a document names; empty if it names none."""
    found = _DECLARED.match(text.removeprefix("\ufeff").lstrip())
    return found[1] if found else ""


def is_utf8_name(encoding: str) -> bool:
    """Whether an encoding is UTF-8, by whatever name."""
    return _same(encoding, "utf-8") or _same(encoding, "utf-8-sig")


def _same(encoding: str, other: str) -> bool:
    try:
        return codecs.lookup(encoding).name == other
    except (LookupError, ValueError):  # ValueError: a NUL in it
        return False


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _undecodable(message: str, offset: int) -> EncodingDocumentError:
    return EncodingDocumentError(message, offset, "")


def parse(text: str) -> Document:
    """Read a document.

    Raises `DocumentError` if it is not well-formed XML, `UnsafeDocumentError` if it has a document type.
    """
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._data = text.encode("utf-8", "surrogatepass")
        self._known = (0, 0)
        self._nodes: list[Node] = []
        self._open: list[Node] = []
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self) -> Document:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise self._malformed(error.code) from None
        return Document(tuple(self._nodes))

    def _offset(self, index: int) -> int:
        """Characters before a byte of the data. Expat counts bytes; it mostly asks forwards."""
        byte, character = self._known if index >= self._known[0] else (0, 0)
        character += len(self._data[byte:index].decode("utf-8", "replace"))
        self._known = (index, character)
        return character

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        offset = self._offset(self._parser.CurrentByteIndex)
        node = Node(name, attributes, offset, parent=self._open[-1] if self._open else None)
        if attributes and (tag := _START.match(self._text, offset)):
            node.attribute_offsets = {
                match[1]: match.start(1) for match in _ATTRIBUTE.finditer(self._text, offset, tag.end())
            }
        if node.parent is not None:
            node.parent.children.append(node)
        self._nodes.append(node)
        self._open.append(node)

    def _end(self, _name: str) -> None:
        self._open.pop()

    def _characters(self, data: str) -> None:
        node = self._open[-1]
        if not node.text_offset and (stripped := data.lstrip()):
            start = self._offset(self._parser.CurrentByteIndex)
            node.text_offset = start + len(data) - len(stripped)
        node.text += data

    def _doctype(self, *_: object) -> None:
        raise UnsafeDocumentError(
            "The document has a document type declaration (<!DOCTYPE …>).",
            self._offset(self._parser.CurrentByteIndex),
            "Remove the declaration; write the characters themselves, or &amp; &lt; &gt; &quot; &apos;.",
        )

    def _malformed(self, code: int) -> DocumentError:
        offset = self._offset(self._parser.ErrorByteIndex)
        message = f"The document is not well-formed XML: {expat.ErrorString(code)}."
        if not self._text.strip():
            return DocumentError("The document is empty.", 0, "The least that Twilio takes is <Response/>.")
        if _BEFORE_DECLARATION.match(self._text):
            return DocumentError(message, 0, "Put <?xml …?> at the very start, with nothing before it.")
        ampersand = _BARE_AMPERSAND.search(self._text, max(0, offset - 80))
        if ampersand and ampersand.start() <= offset:
            return DocumentError(message, ampersand.start(), "Write a bare & as &amp;.")
        if code in _UNCLOSED and self._open:
            return DocumentError(
                message, offset, f"<{self._open[-1].name}> is still open here: close it first."
            )
        return DocumentError(message, offset, _FIXES.get(code, "Correct the XML at this place."))


_CODES = expat.errors.codes
_UNCLOSED = {_CODES[expat.errors.XML_ERROR_TAG_MISMATCH], _CODES[expat.errors.XML_ERROR_NO_ELEMENTS]}
_FIXES = {
    _CODES[expat.errors.XML_ERROR_DUPLICATE_ATTRIBUTE]: "Keep one of the two attributes.",
    _CODES[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]: "Keep one <Response>, and nothing after it.",
    _CODES[expat.errors.XML_ERROR_UNDEFINED_ENTITY]: (
        "XML knows only &amp; &lt; &gt; &quot; &apos; and numbers such as &#160;."
    ),
}
