"""The one fold of a call's events: who calls whom, what was said, what was decided, what comes next."""

from voice_app.calls.cost import CallCost, CostLine, PriceList, cost_of, cost_of_tokens, price_list
from voice_app.calls.engine import Engine
from voice_app.calls.handoff import MISSES, Handoff, HandoffState, HandoffStep
from voice_app.calls.party import CallerAddress, Parties, attestation_failed
from voice_app.calls.resuming import MAX_RECONNECTS, Question, ReconnectState, ResumeState
from voice_app.calls.sessions import CLOSED_IN_ORDER, GIVEN_UP, SessionRecord, Sessions
from voice_app.calls.state import INVITED, CallState, TokenCount, ToolUse, call_document
from voice_app.calls.transcript import HIDDEN_WORDS, CallTranscript, HistoryLine, SpokenLine, pressed

__all__ = [
    "CLOSED_IN_ORDER",
    "GIVEN_UP",
    "HIDDEN_WORDS",
    "INVITED",
    "MAX_RECONNECTS",
    "MISSES",
    "CallCost",
    "CallState",
    "CallTranscript",
    "CallerAddress",
    "CostLine",
    "Engine",
    "Handoff",
    "HandoffState",
    "HandoffStep",
    "HistoryLine",
    "Parties",
    "PriceList",
    "Question",
    "ReconnectState",
    "ResumeState",
    "SessionRecord",
    "Sessions",
    "SpokenLine",
    "TokenCount",
    "ToolUse",
    "attestation_failed",
    "call_document",
    "cost_of",
    "cost_of_tokens",
    "pressed",
    "price_list",
]
