"""What is done after a call, durably: its report, its conversation, its recordings, and calling back."""

from voice_app.followups.followups import Followups, Rhythm
from voice_app.followups.recordings import erase
from voice_app.followups.report import CallReport, encode
from voice_app.followups.reporter import report, report_of
from voice_app.followups.tasks import tasks

__all__ = ["CallReport", "Followups", "Rhythm", "encode", "erase", "report", "report_of", "tasks"]
