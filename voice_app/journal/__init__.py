"""What happened on each call: written as it happens, read by everything that looks back."""

from voice_app.journal import events
from voice_app.journal.database import JournalError
from voice_app.journal.entries import CallRecord, Entry
from voice_app.journal.history import Line, Utterance, as_heard, dialogue, pressed
from voice_app.journal.journal import Journal

__all__ = [
    "CallRecord",
    "Entry",
    "Journal",
    "JournalError",
    "Line",
    "Utterance",
    "as_heard",
    "dialogue",
    "events",
    "pressed",
]
