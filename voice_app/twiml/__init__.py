"""TwiML: the templates we answer with, what Twilio understands, and the linter between the two."""

from voice_app.twiml.documents import CheckedTemplates, Documents
from voice_app.twiml.linter import lint_bytes, lint_path, lint_text
from voice_app.twiml.rules import RULES
from voice_app.twiml.templates import Context, default_folder, shipped_folder, values_of
from voice_app.twiml.vocabulary import VOCABULARY, Attribute, Element, Vocabulary

__all__ = [
    "RULES",
    "VOCABULARY",
    "Attribute",
    "CheckedTemplates",
    "Context",
    "Documents",
    "Element",
    "Vocabulary",
    "default_folder",
    "lint_bytes",
    "lint_path",
    "lint_text",
    "shipped_folder",
    "values_of",
]
