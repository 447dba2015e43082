"""TwiML: the templates we answer with, what Twilio understands, and the linter between the two."""

from voice_app.twiml.linter import lint_bytes, lint_path, lint_text
from voice_app.twiml.rules import RULES
from voice_app.twiml.templates import Context, Templates, default_folder
from voice_app.twiml.vocabulary import VOCABULARY, Attribute, Element, Vocabulary

__all__ = [
    "RULES",
    "VOCABULARY",
    "Attribute",
    "Context",
    "Element",
    "Templates",
    "Vocabulary",
    "default_folder",
    "lint_bytes",
    "lint_path",
    "lint_text",
]
