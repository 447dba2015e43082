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

from voice_app.sandbox.orchestrator.faults import Faults
from voice_app.sandbox.orchestrator.refusals import Shape

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
    active: Capture | None = None
    """Because TwiML named a configuration or a conversation."""
    passive: list[Capture] = field(default_factory=list)
    """Because a capture rule matched. Beside an active one this is the second bill."""

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
        self.operations: dict[str, Operation] = {}
        self.threads: dict[str, Thread] = {}
        self.idempotency: dict[str, Operation] = {}
        """What each idempotency key began, by method, path and key."""
        self.profiles: dict[str, str] = {}
        """The profile id of each customer's address."""
        self.calls: dict[str, CallRecord] = {}
        """The calls that are on the line, by CallSid."""
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
            "memoryStoreId": new_id("mem_store_"),
            "channelSettings": {},
            "memoryExtractionEnabled": False,
            "createdAt": self.now(),
            "updatedAt": self.now(),
            "version": 1,
        } | fields
        return configuration_id

    def snapshot(self, configuration_id: str) -> Resource:
        """What a new conversation keeps of a configuration, whatever becomes of it."""
        kept = copy.deepcopy(self.configurations[configuration_id])
        for name in ("id", "createdAt", "updatedAt", "version"):
            kept.pop(name, None)
        return kept

    def profile_of(self, address: str) -> str:
        """The customer's profile, made on the first contact."""
        return self.profiles.setdefault(address, new_id("mem_profile_"))

    def start_operation(self, related: dict[str, str], effect: Callable[[], object]) -> Operation:
        operation = Operation(new_id("proc_job_"), related, self.clock(), effect)
        operation.error, self.next_failure = self.next_failure, None
        self.operations[operation.id] = operation
        return operation

    def settle(self) -> None:
        """Let time do its work: operations that are due, and conversations that nobody speaks in."""
        now = self.clock()
        for operation in self.operations.values():
            due = operation.created_at + self.behaviour.operation_seconds
            if operation.completed_at is None and now >= due:
                self.complete(operation)
        for thread in self.threads.values():
            self._age(thread, now)

    def complete(self, operation: Operation) -> None:
        operation.completed_at = self.clock()
        if operation.error is None:
            operation.effect()

    def _age(self, thread: Thread, now: float) -> None:
        """Both timers run from the last communication; the channel that lives longest decides."""
        if not thread.open:
            return
        quiet = (now - thread.touched_at) / 60
        inactive, closed = (self._minutes(thread, name) for name in ("inactive", "closed"))
        if closed is not None and quiet >= closed:
            self.set_status(thread, "CLOSED")
        elif inactive is not None and quiet >= inactive and thread.status == "ACTIVE":
            self.set_status(thread, "INACTIVE")

    def _minutes(self, thread: Thread, name: str) -> float | None:
        settings = (thread.resource.get("configuration") or {}).get("channelSettings") or {}
        used = {
            address["channel"]
            for participant in thread.participants.values()
            for address in participant["addresses"]
        }
        found = [
            timeouts[name]
            for channel in used
            if (timeouts := (settings.get(channel) or {}).get("statusTimeouts")) and name in timeouts
        ]
        return max(found, default=None)

    def set_status(self, thread: Thread, status: str) -> None:
        if status != thread.status:
            thread.resource["status"] = status
            thread.resource["updatedAt"] = self.now()
