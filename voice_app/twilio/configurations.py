"""The configurations of Conversation Orchestrator.

https://www.twilio.com/docs/conversations/orchestrator
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal
from uuid import uuid4

import msgspec
from cachetools import TTLCache

from voice_app.twilio.configuration_edit import GROUPING, Difference, differences, lost, merged
from voice_app.twilio.errors import ApiError, Trouble
from voice_app.twilio.http import ApiReply, TwilioApi
from voice_app.twilio.identifiers import IdKind, checked, problem
from voice_app.twilio.models import Configuration, Operation
from voice_app.twilio.operations import PRODUCT, Progress, finished, related_id

PATH: Final = "/v2/ControlPlane/Configurations"
MAX_NAMES: Final = 1000
"""Names of configurations whose ids are remembered."""
NAMES_SECONDS: Final = 300.0
"""For so long they are: a name may be given to another configuration."""


class Update(msgspec.Struct, frozen=True):
    """What came of a change."""

    before: Configuration
    after: Configuration
    """As it was fetched when the operation was completed."""
    method: Literal["PATCH", "PUT", "none"]
    """How it was written; ``none`` if there was nothing to change."""
    unexpected: tuple[Difference, ...] = ()
    """Where the configuration is not as it should be now."""

    @property
    def changed(self) -> list[Difference]:
        return differences(self.before.raw, self.after.raw)

    @property
    def raced(self) -> bool:
        """Whether somebody else wrote at the same time: Twilio can tell this after the fact only."""
        before, after = self.before.version, self.after.version
        if before is None or after is None:
            return bool(self.unexpected)
        return bool(self.unexpected) or after != before + (0 if self.method == "none" else 1)


class Configurations:
    """Read and change the configurations of the account.

    Every method raises `ApiError`, and `ValueError` for something that cannot be a configuration's id.
    """

    def __init__(self, api: TwilioApi, *, deadline: float = 60.0) -> None:
        """``deadline`` is in seconds, and holds for one operation."""
        self._api = api
        self._deadline = deadline
        self._ids: TTLCache[str, str] = TTLCache(MAX_NAMES, NAMES_SECONDS)
        """The ids of configurations by their names."""

    async def fetch(self, configuration_id: str) -> Configuration:
        """Read one."""
        return Configuration(await self._api.get(PRODUCT, _path(configuration_id)))

    async def named(self, value: str) -> Configuration:
        """Read the one that TwiML names so: by its id, or by a name that it has.

        Raises:
            ApiError: `Trouble.NOT_FOUND` also where no configuration has this name.
        """
        if found := await self.id_of(value):
            return await self.fetch(found)
        told = f"no configuration has the name {value}"
        raise ApiError(Trouble.NOT_FOUND, method="GET", url=PATH, message=told)

    async def id_of(self, value: str) -> str:
        """The id of the configuration that TwiML names so; empty if none has this name.

        Everything that compares ids of configurations asks here. A name is looked up now and then.
        """
        if problem(value, IdKind.CONFIGURATION) is None:
            return value
        if value not in self._ids:
            found = await self.ids_of(value)
            if not found:
                return ""
            self._ids[value] = found[0]
        return self._ids[value]

    async def ids_of(self, value: str) -> Sequence[str]:
        """The ids of all configurations that are meant by an id, a unique name, or else a display name."""
        if problem(value, IdKind.CONFIGURATION) is None:
            return [value]
        rows = await self.rows()
        unique = [row.id for row in rows if row.unique_name == value]
        return unique or [row.id for row in rows if row.display_name == value]

    async def list(self) -> Sequence[Configuration]:
        """Read all of them, on all pages. Those that the list shows in part are fetched singly."""
        rows = await self.rows()
        return [item if item.whole or not item.id else await self.fetch(item.id) for item in rows]

    async def rows(self) -> Sequence[Configuration]:
        """Read all of them as the list shows them, on all pages: some may not be `Configuration.whole`."""
        return [Configuration(item) async for item in self._api.items(PRODUCT, PATH)]

    async def create(self, fields: Mapping[str, Any], *, progress: Progress | None = None) -> Configuration:
        """Create one and wait until it is there."""
        operation = await self._finish(await self._send("POST", PATH, dict(fields)), PATH, progress)
        configuration_id = related_id(operation, "configurationId")
        if configuration_id is not None:
            return await self.fetch(configuration_id)
        name = fields.get("displayName")
        named = [item for item in await self.list() if item.display_name == name]
        if len(named) != 1:
            told = f"the operation names no configuration, and {len(named)} are called {name!r}"
            raise ApiError(Trouble.UNREADABLE, method="POST", url=self._api.url(PRODUCT, PATH), message=told)
        return named[0]

    async def update(
        self,
        configuration_id: str,
        changes: Mapping[str, Any] | Callable[[Configuration], Mapping[str, Any]],
        *,
        progress: Progress | None = None,
    ) -> Update:
        """Change some fields and leave all others as they are, then fetch again and compare.

        Fields that are left out of ``changes`` stay, null removes one, and a channel in ``channelSettings``
        is replaced as a whole: where that depends on what is there, give a function of the configuration
        as it was read just before it is written. Accounts without PATCH get a PUT of everything that was
        read just before it. Raises `ValueError`, before anything is written, for another grouping and for a
        field that would be lost.
        """
        before, given = await self.fetch(configuration_id), changes
        changes = given(before) if callable(given) else given
        if changes.get(GROUPING, before.grouping) != before.grouping:
            raise ValueError(
                f"{GROUPING} of {configuration_id} is {before.grouping} and cannot be changed: create a new "
                "configuration, and close the conversations of this one"
            )
        if not differences(before.raw, merged(before.raw, changes)):
            return Update(before, before, "none")
        path = _path(configuration_id)
        method: Literal["PATCH", "PUT"] = "PATCH"
        try:
            reply = await self._send("PATCH", path, dict(changes))
        except ApiError as error:
            if error.trouble not in (Trouble.NOT_ALLOWED, Trouble.NOT_FOUND):
                raise
            method = "PUT"
            before = await self.fetch(configuration_id)
            changes = given(before) if callable(given) else given
            reply = await self._send("PUT", path, _whole(before, changes))
        await self._finish(reply, path, progress)
        after = await self.fetch(configuration_id)
        wrong = differences(merged(before.raw, changes), after.raw)
        # What we removed may come back as the API's own way of saying "nothing".
        unexpected = tuple(item for item in wrong if item.old is not None or item.new)
        return Update(before, after, method, unexpected)

    async def delete(self, configuration_id: str, *, progress: Progress | None = None) -> None:
        """Delete one and wait until it is gone."""
        path = _path(configuration_id)
        await self._finish(await self._send("DELETE", path, None), path, progress)

    async def _send(self, method: str, path: str, body: Any) -> ApiReply:
        key = str(uuid4())
        return await self._api.request(method, PRODUCT, path, body=body, idempotency_key=key)

    async def _finish(self, reply: ApiReply, path: str, progress: Progress | None) -> Operation:
        url = self._api.url(PRODUCT, path)
        return await finished(self._api, reply, url, deadline=self._deadline, progress=progress)


def _whole(before: Configuration, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a PUT."""
    body = merged(before.raw, changes)
    body.setdefault("channelSettings", {})
    missing = lost(before.raw, body, changes)
    if missing:
        raise ValueError(f"a PUT to {before.id} would delete {', '.join(missing)}: nothing was written")
    return body


def _path(configuration_id: str) -> str:
    return f"{PATH}/{checked(configuration_id, IdKind.CONFIGURATION)}"
