"""A conformance suite for ConversationRelay backends: it plays Twilio against any of them, frame by frame."""

from voice_app.testing.conformance.case import CASES, ConformanceCase, Grade, Need
from voice_app.testing.conformance.report import case_facts, junit, list_table, report_facts, summary, table
from voice_app.testing.conformance.suite import CaseOutcome, CaseResult, ConformanceReport, Suite, chosen
from voice_app.testing.conformance.trial import BackendAddress, BackendError
from voice_app.testing.conformance.wire import BreachError, CasePatience

__all__ = [
    "CASES",
    "BackendAddress",
    "BackendError",
    "BreachError",
    "CaseOutcome",
    "CasePatience",
    "CaseResult",
    "ConformanceCase",
    "ConformanceReport",
    "Grade",
    "Need",
    "Suite",
    "case_facts",
    "chosen",
    "junit",
    "list_table",
    "report_facts",
    "summary",
    "table",
]
