"""A phone: places calls to a server as Twilio would, and is the caller, and the people called, on the line."""

from voice_app.sandbox.phone.call import PhoneCall
from voice_app.sandbox.phone.endpoint import CallOverError
from voice_app.sandbox.phone.happening import Happening
from voice_app.sandbox.phone.people import Person
from voice_app.sandbox.phone.phone import Phone

__all__ = ["CallOverError", "Happening", "Person", "Phone", "PhoneCall"]
