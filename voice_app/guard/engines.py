"""Which speech-to-text engine listens to a call after each document: never two of them (STT104)."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from voice_app.calls import Engine


class OverlapError(Exception):
    """A document would have two engines listen to one call. The text says which."""


def engine_after(document: Element, running: Engine) -> Engine:
    """The engine that listens once Twilio has run a document, when ``running`` listened before it.

    A session of ConversationRelay is over before Twilio asks for the next document; a transcription goes
    on until it is stopped. Raises `OverlapError` for a document that must not be sent.
    """
    if running == "relay":
        running = ""
    for verb in document:
        names = {noun.tag for noun in verb}
        if verb.tag == "Stop" and "Transcription" in names:
            running = ""
        elif verb.tag == "Start" and "Transcription" in names:
            if running == "transcription":
                raise OverlapError("it starts a <Transcription> while another one is running")
            running = "transcription"
        elif verb.tag == "Connect" and "ConversationRelay" in names:
            if running == "transcription":
                raise OverlapError("it connects to ConversationRelay while a <Transcription> is running")
            running = "relay"
    return running
