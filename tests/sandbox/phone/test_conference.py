"""A warm transfer: the caller waits in a conference, and the REST API has somebody called who joins it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from support.twiml_server import ACCOUNT, ORIGIN, TOKEN, TwimlServer, start, twiml_server
from voice_app.sandbox.phone import Person, PersonKind, PhoneCall, conference, outbound
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve

ROBIN = "+15550100011"
DOCUMENTS = {
    "/voice": start() + '<Dial action="/dialled"><Conference startConferenceOnEnter="true" '
    'endConferenceOnExit="true" waitUrl="/wait">room</Conference></Dial>',
    "/wait": "<Say>Please hold.</Say>",
    "/dialled": "<Say>Robin has left.</Say>",
    "/elsewhere": "<Say>Nobody could come.</Say>",
    "/whisper": '<Gather numDigits="1" action="/screened"><Say>Ann wants a refund. Press 1.</Say></Gather>'
    "<Hangup/>",
    "/screened": '<Dial><Conference endConferenceOnExit="true">room</Conference></Dial>',
}


class Api:
    """The calls of the account, as the REST API has them."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str) -> None:
        self._http = http
        self._url = f"{base_url}/api/2010-04-01/Accounts/{ACCOUNT}/Calls"

    async def create(self, form: dict[str, Any]) -> tuple[int, Any]:
        return await self._post(f"{self._url}.json", form)

    async def update(self, call_sid: str, **form: str) -> tuple[int, Any]:
        return await self._post(f"{self._url}/{call_sid}.json", form)

    async def fetch(self, call_sid: str) -> Any:
        async with self._http.get(f"{self._url}/{call_sid}.json") as response:
            return await response.json()

    async def _post(self, url: str, form: dict[str, Any]) -> tuple[int, Any]:
        pairs = [
            (name, value)
            for name, given in form.items()
            for value in (given if isinstance(given, list) else [given])
        ]
        async with self._http.post(url, data=aiohttp.FormData(pairs)) as response:
            return response.status, await response.json()


@asynccontextmanager
async def line(**documents: str) -> AsyncIterator[tuple[TwimlServer, Api]]:
    """A server to phone, and the double through which it has people called. ``documents`` by their names."""
    changed = {f"/{name}": document for name, document in documents.items()}
    authorization = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    async with (
        serve(double_app(SandboxAccount(ACCOUNT, TOKEN))) as base_url,
        twiml_server(DOCUMENTS | changed, twilio_base_url=base_url) as server,
        aiohttp.ClientSession(headers=authorization) as http,
    ):
        yield server, Api(http, base_url)


def placed(server: TwimlServer, call: PhoneCall, **changes: Any) -> dict[str, Any]:
    """A request that has Robin called for a caller."""
    return {
        "To": ROBIN,
        "From": server.phone.number,
        "Url": f"{ORIGIN}/whisper?call={call.sid}",
        "StatusCallback": f"{ORIGIN}/leg",
        "Timeout": "25",
    } | changes


async def invite(server: TwimlServer, api: Api, call: PhoneCall, **changes: Any) -> str:
    """Have Robin called for a caller who waits; gives the new call's SID."""
    await call.reply()
    status, made = await api.create(placed(server, call, **changes))
    assert (status, made["status"], made["direction"]) == (201, "queued", "outbound-api")
    return str(made["sid"])


def clean(call: PhoneCall) -> bool:
    return call.problems == [] and call.engine_overlaps == []


async def until_heard(call: PhoneCall, text: str) -> None:
    while (await call.reply()).text != text:
        pass


async def test_a_person_hears_the_whisper_presses_1_and_joins_the_caller() -> None:
    robin = Person("answers", says=["Robin here.", "I see it."])
    async with line() as (server, api), server.call(robin) as call:
        sid = await invite(server, api, call)
        await call.bridged()
        await until_heard(call, "Robin here.")
        assert (await call.ask("It is about order 81.")).text == "I see it."
        await call.person_hangs_up()
        await until_heard(call, "Robin has left.")
        await server.until_asked("/leg")
    assert robin.heard == ["Ann wants a refund. Press 1.", "It is about order 81."]
    assert len(robin.documents) == 2
    assert server.form("/dialled")["DialCallStatus"] == "answered"
    whisper, leg = server.form("/whisper"), server.form("/leg")
    assert whisper["CallSid"] == leg["CallSid"] == server.form("/screened")["CallSid"] == sid
    assert (whisper["Direction"], whisper["CallStatus"]) == ("outbound-api", "in-progress")
    assert (whisper["From"], whisper["To"]) == (server.phone.number, ROBIN)
    assert "ParentCallSid" not in whisper
    assert leg["CallStatus"] == "completed"
    assert leg["CallDuration"].isdecimal()
    assert clean(call)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("busy", "busy"), ("no-answer", "no-answer"), ("declines", "completed"), ("voicemail", "completed")],
)
async def test_whoever_does_not_join_is_told_of_and_the_caller_can_be_sent_on(
    kind: PersonKind, status: str
) -> None:
    async with line() as (server, api), server.call(Person(kind)) as call:
        await invite(server, api, call)
        await server.until_asked("/leg")
        assert server.form("/leg")["CallStatus"] == status
        await api.update(call.sid, Url=f"{ORIGIN}/elsewhere")
        await until_heard(call, "Nobody could come.")
    assert server.forms("/dialled") == []
    assert server.forms("/screened") == []
    assert clean(call)


async def test_a_phone_that_is_rung_too_shortly_is_not_answered() -> None:
    async with line() as (server, api), server.call(Person("answers")) as call:
        await invite(server, api, call, Timeout="2")
        await server.until_asked("/leg")
        assert server.form("/leg")["CallStatus"] == "no-answer"
        assert server.forms("/whisper") == []


async def test_every_step_of_the_leg_is_told_to_who_subscribed() -> None:
    events = ["initiated", "ringing", "answered", "completed"]
    async with line() as (server, api), server.call(Person("answers")) as call:
        await invite(server, api, call, StatusCallbackEvent=events)
        await call.bridged()
        await call.hang_up()
        await server.until_asked("/leg", 4)
    told = [(leg["CallStatus"], leg["SequenceNumber"]) for leg in server.forms("/leg")]
    assert told == [("initiated", "0"), ("ringing", "1"), ("in-progress", "2"), ("completed", "3")]
    assert clean(call)


async def test_the_next_person_can_be_called_when_the_first_is_busy() -> None:
    alex = Person("answers", says=["Alex here."])
    async with line() as (server, api), server.call(Person("busy"), alex) as call:
        await invite(server, api, call)
        await server.until_asked("/leg")
        await invite(server, api, call)
        await until_heard(call, "Alex here.")
    assert alex.heard == ["Ann wants a refund. Press 1."]


async def test_a_person_who_waits_in_the_conference_meets_the_caller_who_comes_later() -> None:
    voice = '<Gather numDigits="1" action="/ready" timeout="60"><Say>Press 1.</Say></Gather>'
    async with line(voice=voice, ready=DOCUMENTS["/voice"]) as (server, api), server.call(Person()) as call:
        await invite(server, api, call)
        await server.until_asked("/screened")
        await call.press("1")
        await call.bridged()
    assert clean(call)


async def test_a_caller_stays_when_somebody_leaves_who_does_not_end_the_conference() -> None:
    joins = "<Dial><Conference>room</Conference></Dial>"
    people = Person("answers", says=["Robin here."]), Person("answers", says=["Alex here."])
    async with line(screened=joins) as (server, api), server.call(*people) as call:
        await invite(server, api, call)
        await until_heard(call, "Robin here.")
        await call.person_hangs_up()
        await server.until_asked("/leg")
        assert server.forms("/dialled") == []
        await invite(server, api, call)
        await until_heard(call, "Alex here.")
    assert clean(call)


async def test_the_leg_goes_on_when_the_caller_has_ended_the_conference() -> None:
    joins = DOCUMENTS["/screened"] + "<Say>The caller has hung up.</Say>"
    robin = Person("answers")
    async with line(screened=joins) as (server, api), server.call(robin) as call:
        await invite(server, api, call)
        await call.bridged()
        await call.hang_up()
        await server.until_asked("/leg")
    assert robin.heard[-1] == "The caller has hung up."
    assert clean(call)


async def test_the_api_ends_the_leg_of_somebody_who_has_joined() -> None:
    async with line() as (server, api), server.call(Person("answers")) as call:
        sid = await invite(server, api, call)
        await call.bridged()
        assert (await api.update(sid, Status="completed"))[0] == 200
        await until_heard(call, "Robin has left.")
        await server.until_asked("/leg")
        await call.hang_up()
        await call.over.wait()
    assert server.form("/leg")["CallStatus"] == "completed"
    assert clean(call)


async def test_a_leg_that_is_over_cannot_be_changed_any_more() -> None:
    async with line() as (server, api):
        async with server.call(Person("answers")) as call:
            sid = await invite(server, api, call)
            await call.bridged()
            found = await api.fetch(sid)
            assert (found["status"], found["to"]) == ("in-progress", ROBIN)
        assert (await api.fetch(sid))["status"] == "completed"
        status, error = await api.update(sid, Status="completed")
    assert (status, error["code"], error["status"]) == (400, 21220, 400)


async def test_a_call_that_still_rings_when_the_caller_is_gone_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbound, "GRACE_SECONDS", 0.1)
    async with line() as (server, api):
        async with server.call(Person("no-answer")) as call:
            await invite(server, api, call, Timeout="600", StatusCallbackEvent=["ringing", "completed"])
            await server.until_asked("/leg")
        assert [leg["CallStatus"] for leg in server.forms("/leg")] == ["ringing", "canceled"]
    (problem,) = call.problems
    assert "the caller is gone" in problem
    assert ROBIN in problem


async def test_the_server_may_cancel_a_call_that_still_rings() -> None:
    async with line() as (server, api):
        async with server.call(Person("no-answer")) as call:
            sid = await invite(server, api, call, Timeout="600", StatusCallbackEvent=["ringing", "completed"])
            await server.until_asked("/leg")
            await api.update(sid, Status="canceled")
            await server.until_asked("/leg", 2)
        assert server.forms("/leg")[1]["CallStatus"] == "canceled"
    assert clean(call)


async def test_a_person_in_another_conference_is_a_problem() -> None:
    joins = "<Dial><Conference>lounge</Conference></Dial>"
    async with line(screened=joins) as (server, api), server.call(Person("answers")) as call:
        await invite(server, api, call)
        await server.until_asked("/leg")
    (problem,) = call.problems
    assert "'lounge'" in problem
    assert "'room'" in problem


async def test_only_the_call_that_is_meant_gets_the_person() -> None:
    one, other = Person("answers", says=["One."]), Person("answers", says=["Other."])
    async with line() as (server, api), server.call(one) as first, server.call(other) as second:
        await first.reply()
        await invite(server, api, second)
        await until_heard(second, "Other.")
        assert one.documents == []
        await second.hang_up()
        await first.hang_up()


async def test_a_conference_that_nobody_is_called_into_is_joined_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conference, "CALLED_SECONDS", 0.1)
    robin = Person("answers", says=["Robin here."])
    async with line() as (server, _), server.call(robin) as call:
        await until_heard(call, "Robin here.")
    assert robin.documents == []
    assert clean(call)


async def test_a_call_that_was_over_is_not_placed_again_by_the_next_phone() -> None:
    async with serve(double_app(SandboxAccount(ACCOUNT, TOKEN))) as base_url:
        for expected in (1, 0):
            async with (
                twiml_server(DOCUMENTS, twilio_base_url=base_url) as server,
                aiohttp.ClientSession(
                    headers={"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
                ) as http,
                server.call(Person("busy")) as call,
            ):
                if expected:
                    await invite(server, Api(http, base_url), call, Url=f"{ORIGIN}/whisper")
                    await server.until_asked("/leg")
                else:
                    await call.reply()
                    await Api(http, base_url).update(call.sid, Url=f"{ORIGIN}/elsewhere")
                    await until_heard(call, "Nobody could come.")
            assert len(server.forms("/leg")) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"To": ""}, 21201),
        ({"To": "555"}, 21211),
        ({"From": ""}, 21213),
        ({"From": "555"}, 21212),
        ({"From": "+15550100099"}, 21210),
        ({"Url": ""}, 21205),
        ({"Url": "/whisper"}, 21205),
        ({"Twiml": "<Response/>"}, 21205),
        ({"Url": "", "Twiml": "x" * 4001}, 20001),
        ({"Method": "PUT"}, 21403),
        ({"StatusCallback": "/leg"}, 21609),
        ({"StatusCallbackEvent": "finished"}, 21626),
        ({"StatusCallbackMethod": "PUT"}, 21403),
        ({"Timeout": "601"}, 20001),
        ({"Timeout": "soon"}, 20001),
        ({"MachineDetection": "Enable"}, 20001),
    ],
)
async def test_what_twilio_would_refuse_is_refused(changes: dict[str, str], code: int) -> None:
    async with line() as (server, api), server.call(Person("answers")) as call:
        await call.reply()
        status, error = await api.create(placed(server, call) | changes)
        assert (status, error["code"]) == (400, code)
        assert set(error) == {"code", "message", "more_info", "status"}
        assert re.search(r"/errors/\d+$", error["more_info"])
    assert call.people[0].documents == []
