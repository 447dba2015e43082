"""A Twilio account that exists in memory only."""

from __future__ import annotations

import copy
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, Literal

from voice_app.sandbox.network import Network
from voice_app.sandbox.twilio.errors import ErrorShape, Faults
from voice_app.sandbox.twilio.records import (
    Instructions,
    Json,
    OutgoingWebhook,
    PendingOperation,
    SandboxCall,
    StoredConversation,
    StoredMemory,
    new_id,
)

_OPERATOR = "intelligence_operator_"
SENTIMENT: Final = f"{_OPERATOR}01kcrvw16kfa88qvgrfmr7y151"
SUMMARY: Final = f"{_OPERATOR}01kcv35pnkeysaf6z6cqtbpegn"
NEXT_BEST_RESPONSE: Final = f"{_OPERATOR}01kea27sy7ffsafmtsfp17nzx4"
SCRIPT_ADHERENCE: Final = f"{_OPERATOR}01kf34tcyefpyb1t4m0nbd8rxg"


@dataclass(slots=True)
class Behaviour:
    """Where sources disagree on what Twilio does, or where it has changed: pick one."""

    patch: bool = True
    """Whether configurations can be patched; without it, 405."""
    error_shape: ErrorShape = "B"
    partial_lists: bool = False
    """Whether lists leave out fields that the single resource has."""
    operation_statuses: tuple[str, ...] = ("PENDING",)
    """What an operation says, poll by poll, before it is done."""
    operation_seconds: float = 1.0
    """An operation that nobody polls is done after this."""
    related: Literal["present", "null", "missing"] = "present"
    """The ``related`` of a 202."""
    status_url: str | None = None
    """Hand out this ``statusUrl`` instead of the right one."""
    retry_after: int = 1
    """Seconds that a 202 asks to wait."""
    echoes_read_only: bool = True
    """Whether a PUT may have ``id``, ``version`` and the like in it, as Twilio's samples send the complete
    object back; without it, 400.
    """
    undocumented: frozenset[str] = frozenset(
        {"traitExtractionStrategyIds", "observationExtractionStrategyIds", "redactionConfigurationId"}
    )
    """Fields of configurations that are kept like any other without being in the request's schema."""
    conflict_code: int = 20409
    """The code in the body of a grouping conflict; 400 has been seen."""
    terms_accepted: bool = True
    max_configurations: int = 10
    memory_seconds: float = 0.0
    """What is written to a memory store can be read after this."""
    no_match: Literal["empty", "null", "missing", "404"] = "empty"
    """How a lookup says that it knows nobody."""


class SandboxAccount:
    """The state of the double. Read it and change it as you like."""

    def __init__(
        self,
        sid: str = "AC" + "0" * 32,
        token: str = "sandbox",  # noqa: S107 - there is nothing behind it
        *,
        behaviour: Behaviour | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.sid = sid
        self.credentials: dict[str, str] = {sid: token}
        """Who may ask: Account SID and token, API keys and their secrets."""
        self.restricted: set[str] = set()
        """API keys that are good but have no grant."""
        self.behaviour = behaviour or Behaviour()
        self.faults = Faults()
        self.clock = clock
        """Seconds since the epoch."""
        self.configurations: dict[str, Json] = {}
        self.numbers: list[Json] = []
        self.applications: dict[str, Json] = {}
        """TwiML applications by their SID, as the API shows them."""
        self.operations: dict[str, PendingOperation] = {}
        self.conversations: dict[str, StoredConversation] = {}
        self.aged_at = 0.0
        """When it was last looked which of them have grown old, on the clock."""
        self.idempotency: dict[str, PendingOperation] = {}
        """What each idempotency key began, by method, path and key."""
        self.stores: dict[str, StoredMemory] = {}
        self.intelligence: dict[str, Json] = {}
        """The intelligence configurations."""
        self.operators: dict[str, Json] = _twilio_operators()
        """Operators: Twilio's own and the account's."""
        self.results: dict[str, Json] = {}
        """What operators have said."""
        self.network: Network | None = None
        """Where the account's webhooks go; None as long as nobody listens."""
        self.balanced = False
        """That is a balancer, or all machines behind it: a server that says where it is changes nothing."""
        self.send: Callable[[OutgoingWebhook], None] = lambda webhook: None
        """Takes what the account sends by webhook; until there is a sender, nothing is sent."""
        self.calls: dict[str, SandboxCall] = {}
        """The calls that are on the line, by CallSid."""
        self.finished: dict[str, SandboxCall] = {}
        """The calls that are over, by CallSid."""
        self.call_price: str | None = None
        """What was charged for each call that is over, e.g. ``-0.00850``; None: it is not known yet."""
        self.recordings: dict[str, bytes] = {}
        """The media of recordings, by RecordingSid."""
        self.alerts: list[Json] = []
        """What the Debugger has, in the order of happening; the lists of the API have the newest first."""
        self.instructions = Instructions()
        """What the REST API wants done with calls."""
        self.requests: deque[tuple[str, str, int]] = deque(maxlen=1000)
        """Method, path with query, and status of the latest requests."""
        self.next_failure: dict[str, Any] | None = None
        """The next operation fails with this problem (RFC 9457)."""

    def now(self) -> str:
        """The time as the API writes it."""
        moment = datetime.fromtimestamp(self.clock(), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def add_configuration(self, configuration_id: str | None = None, **fields: Any) -> str:
        """Put a configuration into the account, unchecked, and give its id: by default the next free one."""
        if configuration_id is None:
            free = (f"conv_configuration_{number:026}" for number in count(1))
            configuration_id = next(item for item in free if item not in self.configurations)
        self.configurations[configuration_id] = {
            "id": configuration_id,
            "displayName": "sandbox",
            "description": "",
            "conversationGroupingType": "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE",
            "memoryStoreId": fields.get("memoryStoreId") or self.add_store(),
            "channelSettings": {},
            "memoryExtractionEnabled": False,
            "createdAt": self.now(),
            "updatedAt": self.now(),
            "version": 1,
        } | fields
        return configuration_id

    def add_store(self, store_id: str | None = None, *, status: str = "ACTIVE", **fields: Any) -> str:
        """Put a memory store into the account, and give its id."""
        store_id = store_id or new_id("mem_store_")
        resource = {"id": store_id, "displayName": "sandbox", "description": "", "version": 1}
        self.stores[store_id] = StoredMemory(resource | {"status": status} | fields)
        return store_id

    def add_number(self, phone_number: str, **fields: Any) -> Json:
        """Put a phone number into the account, and give it as the API shows it."""
        number: Json = {
            "sid": "PN" + secrets.token_hex(16),
            "account_sid": self.sid,
            "friendly_name": phone_number,
            "phone_number": phone_number,
            "voice_url": None,
            "voice_method": "POST",
            "voice_fallback_url": None,
            "voice_fallback_method": "POST",
            "status_callback": "",
            "status_callback_method": "POST",
            "voice_application_sid": None,
            "trunk_sid": None,
            "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
        } | fields
        self.numbers.append(number)
        return number

    def add_intelligence(self, **fields: Any) -> Json:
        """Put an intelligence configuration into the account, unchecked."""
        now = self.now()
        made: Json = {
            "id": new_id("intelligence_configuration_"),
            "accountId": self.sid,
            "displayName": "sandbox",
            "description": "",
            "version": 1,
            "dateCreated": now,
            "dateUpdated": now,
        } | copy.deepcopy(fields)
        made["rules"] = numbered_rules(fields.get("rules", []))
        self.intelligence[made["id"]] = made
        return made

    def add_alert(self, code: int | str, resource_sid: str = "", **fields: Any) -> Json:
        """Have the Debugger report an error, and give it as the API shows it singly."""
        now = datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        alert: Json = {
            "sid": "NO" + secrets.token_hex(16),
            "account_sid": self.sid,
            "api_version": "2010-04-01",
            "error_code": str(code),
            "log_level": "error",
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "alert_text": "",
            "resource_sid": resource_sid or None,
            "service_sid": None,
            "request_method": None,
            "request_url": None,
            "request_variables": None,
            "request_headers": None,
            "response_body": None,
            "response_headers": None,
            "date_generated": now,
            "date_created": now,
            "date_updated": now,
        } | fields
        self.alerts.append(alert)
        return alert

    def snapshot(self, configuration_id: str) -> Json:
        """What a new conversation keeps of a configuration, whatever becomes of it."""
        kept = copy.deepcopy(self.configurations[configuration_id])
        for name in ("id", "createdAt", "updatedAt", "version"):
            kept.pop(name, None)
        return kept

    def start_operation(self, related: dict[str, str], effect: Callable[[], object]) -> PendingOperation:
        operation = PendingOperation(new_id("proc_job_"), related, self.clock(), effect)
        operation.error, self.next_failure = self.next_failure, None
        self.operations[operation.id] = operation
        return operation

    def complete(self, operation: PendingOperation) -> None:
        operation.completed_at = self.clock()
        if operation.error is None:
            operation.effect()


def numbered_rules(rules: list[Json]) -> list[Json]:
    """The rules of an intelligence configuration; each that has no id gets one."""
    return [{"id": new_id("intelligence_configurationrule_")} | copy.deepcopy(rule) for rule in rules]


def _twilio_operators() -> dict[str, dict[str, Any]]:
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
