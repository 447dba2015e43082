"""The operators that every account has. Their ids are Twilio's; reference ``orchestrator.md`` §7."""

from __future__ import annotations

from typing import Any, Final

_OPERATOR = "intelligence_operator_"
SENTIMENT: Final = f"{_OPERATOR}01kcrvw16kfa88qvgrfmr7y151"
SUMMARY: Final = f"{_OPERATOR}01kcv35pnkeysaf6z6cqtbpegn"
NEXT_BEST_RESPONSE: Final = f"{_OPERATOR}01kea27sy7ffsafmtsfp17nzx4"
SCRIPT_ADHERENCE: Final = f"{_OPERATOR}01kf34tcyefpyb1t4m0nbd8rxg"


def twilio_operators() -> dict[str, dict[str, Any]]:
    """The operators that every account has."""
    known = (
        (SENTIMENT, "Sentiment", "CLASSIFICATION"),
        (SUMMARY, "Summary", "TEXT"),
        (NEXT_BEST_RESPONSE, "Next best response", "TEXT"),
        (SCRIPT_ADHERENCE, "Script adherence", "JSON"),
    )
    return {
        operator_id: {
            "id": operator_id,
            "displayName": name,
            "description": "",
            "version": 1,
            "author": "TWILIO",
            "outputFormat": output,
        }
        for operator_id, name, output in known
    }
