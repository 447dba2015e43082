"""A Twilio account that exists in memory only."""

from __future__ import annotations

import copy
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from voice_app.sandbox.network import Network
from voice_app.sandbox.twilio.faults import Faults
from voice_app.sandbox.twilio.instructions import Instructions
from voice_app.sandbox.twilio.operators import twilio_operators
from voice_app.sandbox.twilio.errors import Shape

Resource = dict[str, Any]
"""A thing as the API shows it."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id(prefix: str) -> str:
    """A TTID: the prefix, a digit up to 7, and 25 of ``[0-9a-z]``."""
    return prefix + secrets.choice(_ALPHABET[:8]) + "".join(secrets.choice(_ALPHABET) for _ in range(25))


@dataclass(slots=True)
class Behaviour:
    """Where sources disagree on what Twilio does, or where it has changed: pick one."""

    patch: bool = True
    """Whether configurations can be patched; without it, 405."""
    error_shape: Shape = "B"
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
    echoes_read_only: bool = False
    """Whether a PUT may have ``id``, ``version`` and the like in it; without it, 400."""
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


@dataclass(slots=True)
class Operation:
    """A change behind a 202. ``effect`` is applied when it is done."""

    id: str
    related: dict[str, str]
    created_at: float
    effect: Callable[[], object]
    polls: int = 0
    completed_at: float | None = None
    error: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        if self.completed_at is None:
            return "PENDING"
        return "COMPLETED" if self.error is None else "FAILED"


@dataclass(slots=True)
class Thread:
    """A conversation with everything that belongs to it."""

    resource: Resource
    participants: dict[str, Resource] = field(default_factory=dict)
    communications: dict[str, Resource] = field(default_factory=dict)
    actions: dict[str, Resource] = field(default_factory=dict)
    touched_at: float = 0.0
    """When something was last said, in seconds since the epoch; both timers run from here."""

    @property
    def id(self) -> str:
        return str(self.resource["id"])

    @property
    def status(self) -> str:
        return str(self.resource["status"])

    @property
    def open(self) -> bool:
        return self.status != "CLOSED"


@dataclass(slots=True)
class Person:
    """A profile, and what is remembered under it."""

    id: str
    created_at: str
    traits: dict[str, dict[str, Any]] = field(default_factory=dict)
    observations: dict[str, Resource] = field(default_factory=dict)
    summaries: dict[str, Resource] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryStore:
    """A memory store with everything that is in it."""

    resource: Resource
    people: dict[str, Person] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    """The profile that took the place of another one, by the other's id."""
    identifiers: dict[str, tuple[str, str]] = field(
        default_factory=lambda: {"phone": ("Contact", "phone"), "email": ("Contact", "email")}
    )
    """The trait (group and name) that is promoted to each type of identifier."""
    queued: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    """What was taken in with a 202, and the time (seconds since the epoch) at which it can be read."""

    @property
    def id(self) -> str:
        return str(self.resource["id"])

    @property
    def active(self) -> bool:
        return bool(self.resource["status"] == "ACTIVE")


@dataclass(slots=True)
class Letter:
    """A webhook that the account sends."""

    url: str
    body: Resource
    token: str = field(default_factory=lambda: str(uuid4()))
    """``I-Twilio-Idempotency-Token``: the same in every repetition."""


def _drop(letter: Letter) -> None:
    """Nobody delivers anything."""


@dataclass(slots=True)
class Capture:
    """One speech-to-text engine that listens to a call and writes to a conversation."""

    thread: Thread
    engine: str
    stem: str
    """The TranscriptionSid that its communications are numbered under."""
    fragments: int = 0


@dataclass(slots=True)
class CallRecord:
    """A call on the line, and who listens to it."""

    sid: str
    caller: str
    number: str
    direction: Literal["inbound", "outbound-api"] = "inbound"
    active: Capture | None = None
    """Because TwiML named a configuration or a conversation."""
    passive: list[Capture] = field(default_factory=list)
    """Because a capture rule matched. Beside an active one this is the second bill."""
    created_at: float = 0.0
    """Seconds since the epoch; 0 where nobody noted it."""

    @property
    def captures(self) -> list[Capture]:
        return [*([self.active] if self.active else []), *self.passive]


class Account:
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
        self.configurations: dict[str, Resource] = {}
        self.numbers: list[Resource] = []
        self.operations: dict[str, Operation] = {}
        self.threads: dict[str, Thread] = {}
        self.idempotency: dict[str, Operation] = {}
        """What each idempotency key began, by method, path and key."""
        self.stores: dict[str, MemoryStore] = {}
        self.intelligence: dict[str, Resource] = {}
        """The intelligence configurations."""
        self.operators: dict[str, Resource] = twilio_operators()
        """Operators: Twilio's own and the account's."""
        self.results: dict[str, Resource] = {}
        """What operators have said."""
        self.network: Network | None = None
        """Where the account's webhooks go; None as long as nobody listens."""
        self.balanced = False
        """That is a balancer, or all machines behind it: a server that says where it is changes nothing."""
        self.send: Callable[[Letter], None] = _drop
        """Takes what the account tells by webhook."""
        self.calls: dict[str, CallRecord] = {}
        """The calls that are on the line, by CallSid."""
        self.finished: dict[str, CallRecord] = {}
        """The calls that are over, by CallSid."""
        self.recordings: dict[str, bytes] = {}
        """The media of recordings, by RecordingSid."""
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
        """Put a configuration into the account, unchecked, and give its id."""
        configuration_id = configuration_id or new_id("conv_configuration_")
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
        self.stores[store_id] = MemoryStore(resource | {"status": status} | fields)
        return store_id

    def snapshot(self, configuration_id: str) -> Resource:
        """What a new conversation keeps of a configuration, whatever becomes of it."""
        kept = copy.deepcopy(self.configurations[configuration_id])
        for name in ("id", "createdAt", "updatedAt", "version"):
            kept.pop(name, None)
        return kept

    def start_operation(self, related: dict[str, str], effect: Callable[[], object]) -> Operation:
        operation = Operation(new_id("proc_job_"), related, self.clock(), effect)
        operation.error, self.next_failure = self.next_failure, None
        self.operations[operation.id] = operation
        return operation

    def complete(self, operation: Operation) -> None:
        operation.completed_at = self.clock()
        if operation.error is None:
            operation.effect()
