"""A phone that calls a server as Twilio would: the caller, and the people who are rung, on the line."""

from voice_app.sandbox.phone.call import PhoneCall
from voice_app.sandbox.phone.endpoint import CallOverError, PhoneEvent
from voice_app.sandbox.phone.people import Person
from voice_app.sandbox.phone.phone import Phone

__all__ = ["CallOverError", "Person", "Phone", "PhoneCall", "PhoneEvent"]
