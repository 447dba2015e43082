"""What is done after a call, durably: its report, its conversation, its recordings, and calling back."""

from voice_app.followups.callbacks import CallbackRules
from voice_app.followups.followups import Followups, Rhythm, tasks_of
from voice_app.followups.recordings import erase
from voice_app.followups.report import CallReport, call_report, encode, report_of
from voice_app.followups.revisions import is_report

__all__ = [
    "CallReport",
    "CallbackRules",
    "Followups",
    "Rhythm",
    "call_report",
    "encode",
    "erase",
    "is_report",
    "report_of",
    "tasks_of",
]
