"""The guard: it refuses to run where speech-to-text would be billed twice."""

from voice_app.guard.calls import CallInspector, best_of
from voice_app.guard.check import Report, Verdict, check, judge, verdict
from voice_app.guard.facts import facts
from voice_app.guard.reading import Named, Reading
from voice_app.guard.report import overview, report
from voice_app.guard.rules import RULES
from voice_app.guard.scope import Allowance, Scope, named_in
from voice_app.guard.watch import Watch

__all__ = [
    "RULES",
    "Allowance",
    "CallInspector",
    "Named",
    "Reading",
    "Report",
    "Scope",
    "Verdict",
    "Watch",
    "best_of",
    "check",
    "facts",
    "judge",
    "named_in",
    "overview",
    "report",
    "verdict",
]
