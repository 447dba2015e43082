"""The guard: it refuses to run where speech-to-text would be billed twice."""

from voice_app.findings import RULES
from voice_app.guard.check import Report, Verdict, Watch, check_account, exit_code, judge, verdict
from voice_app.guard.evidence import CallInspector
from voice_app.guard.snapshot import Allowance, Named, Scope, Snapshot, named_in

__all__ = [
    "RULES",
    "Allowance",
    "CallInspector",
    "Named",
    "Report",
    "Scope",
    "Snapshot",
    "Verdict",
    "Watch",
    "check_account",
    "exit_code",
    "judge",
    "named_in",
    "verdict",
]
