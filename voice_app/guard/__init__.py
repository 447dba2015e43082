"""The guard: it refuses to run where speech-to-text would be billed twice."""

from voice_app.guard.check import Verdict, check, verdict
from voice_app.guard.report import report
from voice_app.guard.rules import RULES

__all__ = ["RULES", "Verdict", "check", "report", "verdict"]
