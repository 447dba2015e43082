"""What runs beside requests: services, capacity, transfers, conversations, callers' memory, a watchdog."""

from voice_app.runtime.answering import AnswerError, AnswerHook, HttpAnswerHook, decide, variant_for
from voice_app.runtime.background import BackgroundTasks
from voice_app.runtime.budget import DayBudget, DayCost, costs_by_day, note_cost
from voice_app.runtime.call_transfer import CallTransfer
from voice_app.runtime.caller_memory import CallerMemory
from voice_app.runtime.capacity import Admission, CallRegistry, ExpectedNext, Peers, ServingState
from voice_app.runtime.conversation_monitor import ConversationIndex, ConversationMonitor
from voice_app.runtime.gauges import CollectorPauses, ProcessGauges
from voice_app.runtime.refusals import Refusals
from voice_app.runtime.services import NamedAgent, Services
from voice_app.runtime.supervision import ActRefusedError, Supervision
from voice_app.runtime.watchdog import LoopWatchdog

__all__ = [
    "ActRefusedError",
    "Admission",
    "AnswerError",
    "AnswerHook",
    "BackgroundTasks",
    "CallRegistry",
    "CallTransfer",
    "CallerMemory",
    "CollectorPauses",
    "ConversationIndex",
    "ConversationMonitor",
    "DayBudget",
    "DayCost",
    "ExpectedNext",
    "HttpAnswerHook",
    "LoopWatchdog",
    "NamedAgent",
    "Peers",
    "ProcessGauges",
    "Refusals",
    "Services",
    "ServingState",
    "Supervision",
    "costs_by_day",
    "decide",
    "note_cost",
    "variant_for",
]
