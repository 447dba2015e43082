"""What happened on each call: written as it happens, read by everything that looks back."""

from voice_app.journal import events
from voice_app.journal.database import JournalError
from voice_app.journal.entries import CallRecord, Entry, Server, ServerLoad
from voice_app.journal.journal import Journal
from voice_app.journal.store import place
from voice_app.journal.tables import Selection

__all__ = [
    "CallRecord",
    "Entry",
    "Journal",
    "JournalError",
    "Selection",
    "Server",
    "ServerLoad",
    "events",
    "place",
]
