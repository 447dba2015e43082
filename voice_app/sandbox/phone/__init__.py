"""A phone that calls a server as Twilio would: the caller, and the people who are rung, on the line."""

from voice_app.sandbox.phone.call import PhoneCall
from voice_app.sandbox.phone.callbacks import CallbackOrder
from voice_app.sandbox.phone.conditions import LineConditions
from voice_app.sandbox.phone.endpoint import CallOverError, PhoneEvent
from voice_app.sandbox.phone.frames import Reconnecting, ReconnectSetup
from voice_app.sandbox.phone.people import Person, PersonKind
from voice_app.sandbox.phone.phone import Phone
from voice_app.sandbox.phone.relay import HeardReply
from voice_app.sandbox.phone.twiml import read
from voice_app.sandbox.phone.voice import WORDS_PER_SECOND

__all__ = [
    "WORDS_PER_SECOND",
    "CallOverError",
    "CallbackOrder",
    "HeardReply",
    "LineConditions",
    "Person",
    "PersonKind",
    "Phone",
    "PhoneCall",
    "PhoneEvent",
    "ReconnectSetup",
    "Reconnecting",
    "read",
]
