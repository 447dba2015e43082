"""A call survives what servers do not: another machine takes it up, or Twilio comes back to the same one.

``unnoticed`` drops are as good as `kill -9`: the server that had the call writes not a word about its end.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import randbits
from typing import Any
from uuid import UUID

import pytest

from support import survivors
from support.model import ScriptedModel
from support.postgres import Postgres
from support.sandbox import Sandbox, sandbox
from support.waiting import until
from voice_app import server as servers
from voice_app.agents.chat import Chat, ChatSettings
from voice_app.agents.tools import tool
from voice_app.journal import Entry, Journal
from voice_app.journal.events import (
    Acted,
    Connected,
    Failed,
    HandedOff,
    KeysAwaited,
    Opened,
    Played,
    Pressed,
    Reconnected,
    Replied,
    Served,
    SocketOpened,
    ToolCalled,
    ToolReturned,
    Typing,
)
from voice_app.sandbox.network import WebhookError
from voice_app.sandbox.phone import Person, PhoneCall, PhoneEvent, Reconnecting, ReconnectSetup
from voice_app.settings import NumberSettings
from voice_app.twiml import lint_text
from voice_app.webhooks import relay_socket

NUMBERS = ("+15550100010",)


@asynccontextmanager
async def two_machines(folder: Path, database_url: str, **changes: Any) -> AsyncIterator[tuple[Sandbox, str]]:
    """A server, and the base URL of another one on the same database."""
    async with sandbox(folder, database_url=database_url, **changes) as server:
        other = server.settings.model_copy(update={"spool": folder / "other-spool"})
        async with servers.running(other, server.api) as base_url:
            yield server, base_url


async def crash(
    server: Sandbox, call: PhoneCall, other: str, kind: type[Any], times: int = 1, *, after_words: int = 0
) -> None:
    """The machine that has the call is gone; from now on another one is asked.

    So many events of a kind are durable by then, and ``after_words`` of what is being said were heard.
    """
    if after_words:
        session = call.session
        assert session is not None
        await session.voice.hold_after(after_words).wait()
    async with asyncio.timeout(10), Journal(server.settings.database_url, create=False) as journal:
        while True:
            known = [entry for entry in await journal.events(call.sid) if not is_about_the_greeting(entry)]
            if len(of(known, kind)) >= times:
                break
            await asyncio.sleep(0.02)
    server.network.base = other
    await call.drop(unnoticed=True)


async def written(database_url: str, call: PhoneCall) -> list[Entry]:
    async with Journal(database_url, create=False) as journal:
        return list(await journal.events(call.sid))


def of(entries: list[Entry], kind: type[Any]) -> list[Any]:
    return [entry.event for entry in entries if isinstance(entry.event, kind)]


def is_about_the_greeting(entry: Entry) -> bool:
    return isinstance(entry.event, Replied | Played) and entry.event.reply == 0


def fine(call: PhoneCall) -> None:
    """What has to hold on every call."""
    assert call.problems == []
    assert call.engine_overlaps == []
    assert [lint_text(document, "a document of the call") for document in call.documents] == [
        [] for _ in call.documents
    ]


# --- another machine -----------------------------------------------------------------------------


async def test_another_machine_goes_on_with_what_was_heard(tmp_path: Path, postgres_url: str) -> None:
    # At this pace the first words are told of in time: how far the voice is, is written only now and then.
    settings = {"agent": "support.survivors:storyteller", "pace": 20}
    async with two_machines(tmp_path, postgres_url, **settings) as (server, other), server.call() as call:
        await call.reply()
        await call.say("Tell me a story.")
        await crash(server, call, other, Played, after_words=6)
        assert (await call.reply()).text == server.settings.resume_greeting
        answer = (await call.ask("Do you remember?")).text
    said = [part.partition(": ") for part in answer.split(" and then ")]
    assert [role for role, _, _ in said] == ["assistant", "user", "assistant", "assistant"]
    heard = said[2][2]
    assert heard
    assert "One, two, three, four, five, six,".startswith(heard)
    assert said[3][2] == server.settings.resume_greeting
    entries = await written(postgres_url, call)
    assert [event.template for event in of(entries, Served)] == ["answer.xml", "resume.xml"]
    fine(call)


async def test_a_handoff_that_was_decided_is_carried_out_by_another_machine(
    tmp_path: Path, postgres_url: str
) -> None:
    person = Person("answers", says=["Anna here."])
    settings = {"agent": "support.survivors:operator", "handoff_to": NUMBERS}
    async with (
        two_machines(tmp_path, postgres_url, **settings) as (server, other),
        server.call(person) as call,
    ):
        await call.reply()
        await call.say("I want my money back.")
        await crash(server, call, other, Acted, after_words=3)
        assert (await call.reply()).text == "Anna here."
    entries = await written(postgres_url, call)
    assert of(entries, HandedOff)[0] == HandedOff("requested", "billing", "Wants a refund for order 81.")
    assert "Wants a refund for order 81." in " ".join(person.heard)
    assert [event.template for event in of(entries, Served)] == ["answer.xml", "handoff.xml"]
    fine(call)


async def test_keys_that_were_pressed_are_not_to_be_pressed_again(tmp_path: Path, postgres_url: str) -> None:
    async with (
        two_machines(tmp_path, postgres_url, agent="support.survivors:collector") as (server, other),
        server.call() as call,
    ):
        await call.reply()
        await call.ask("My order number.")
        await call.press("12")
        await crash(server, call, other, Typing, 2)
        await call.reply()
        await call.press("34")
        assert (await call.reply()).text == "Keys 1234."
    assert of(await written(postgres_url, call), Pressed) == [Pressed("1234")]
    fine(call)


async def test_a_secret_stays_a_secret_on_another_machine(tmp_path: Path, postgres_url: str) -> None:
    async with (
        two_machines(tmp_path, postgres_url, agent="support.survivors:collector") as (server, other),
        server.call() as call,
    ):
        await call.reply()
        await call.ask("My PIN.")
        await call.press("98")
        await crash(server, call, other, KeysAwaited)
        await call.reply()
        await call.press("9876")
        assert (await call.reply()).text == "4 keys."
    entries = await written(postgres_url, call)
    assert of(entries, Typing) == []
    assert of(entries, Pressed) == [Pressed("")]
    fine(call)


async def test_the_language_goes_on(tmp_path: Path, postgres_url: str) -> None:
    async with (
        two_machines(tmp_path, postgres_url, agent="support.survivors:spaniard") as (server, other),
        server.call() as call,
    ):
        await call.reply()
        await call.ask("Español, por favor.")
        await crash(server, call, other, Acted)
        await call.reply()
    assert 'ttsLanguage="es-ES"' in call.documents[1]
    assert 'transcriptionLanguage="es-MX"' in call.documents[1]
    fine(call)


async def test_a_tool_that_was_running_is_not_run_again(
    tmp_path: Path, postgres_url: str, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    orders: list[int] = []

    @tool(deadline=60)
    async def refund(order: int) -> str:
        """Pay an order back."""
        orders.append(order)
        begun.set()
        await asyncio.Event().wait()
        return "done"

    chat = Chat(ChatSettings(model="test", base_url=model.base_url), tools=[refund])
    monkeypatch.setattr(survivors, "shopkeeper", chat, raising=False)
    model.call(("call_1", "refund", '{"order":81}'), text="I am on it.")
    model.say("It could not be confirmed.")
    async with (
        two_machines(tmp_path, postgres_url, agent="support.survivors:shopkeeper") as (server, other),
        server.call() as call,
    ):
        await call.reply()
        await call.ask("Pay order 81 back!")
        await begun.wait()
        await crash(server, call, other, ToolCalled)
        assert (await call.reply()).text == server.settings.resume_greeting
        assert (await call.ask("Did you do it?")).text == "It could not be confirmed."
    assert orders == [81]
    results = [item for item in model.requests[1]["messages"] if item["role"] == "tool"]
    assert "do not call it again" in results[0]["content"]
    entries = await written(postgres_url, call)
    assert of(entries, ToolCalled) == [ToolCalled(1, "call_1", "refund", '{"order":81}')]
    assert of(entries, ToolReturned) == []
    fine(call)


async def test_a_tool_goes_on_while_the_socket_is_lost_on_the_same_machine(
    tmp_path: Path, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @tool(deadline=60)
    async def refund(order: int) -> str:
        """Pay an order back."""
        begun.set()
        await go.wait()
        return f"order {order} is paid back"

    chat = Chat(ChatSettings(model="test", base_url=model.base_url), tools=[refund])
    monkeypatch.setattr(survivors, "shopkeeper", chat, raising=False)
    model.call(("call_1", "refund", '{"order":81}'), text="I am on it.")
    model.say("It is done.")
    async with sandbox(tmp_path, agent="support.survivors:shopkeeper") as server, server.call() as call:
        await call.reply()
        await call.ask("Pay order 81 back!")
        await begun.wait()
        await call.drop()
        await call.reply()
        go.set()
        assert (await call.ask("Did you do it?")).text == "It is done."
    results = [item["content"] for item in model.requests[1]["messages"] if item["role"] == "tool"]
    assert results == ["order 81 is paid back"]
    fine(call)


async def test_a_call_whose_server_died_before_its_socket_was_open_is_greeted(
    tmp_path: Path, postgres_url: str
) -> None:
    async with two_machines(tmp_path, postgres_url, agent="support.agents:echo") as (server, other):
        form = {"CallSid": "CA" + "7" * 32, "From": "+15550199999", "To": server.phone.number}
        await server.post("/voice", **form)
        server.base_url = other
        document = await ended(server, form, SessionId="VX1", ErrorCode="64102")
    assert f'welcomeGreeting="{server.settings.greeting}"' in document


async def test_a_call_whose_history_cannot_be_read_is_not_greeted_like_a_new_one(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    async with two_machines(tmp_path, postgres_url) as (server, other), server.call() as call:
        await call.reply()
        await call.ask("What are your hours?")
        with postgres.down():
            server.network.base = other
            await call.drop(unnoticed=True)
            assert (await call.reply()).text == server.settings.resume_greeting


async def test_a_server_that_is_alone_knows_all_there_is_to_know_of_a_call(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    async with sandbox(tmp_path, database_url=postgres_url) as server:
        form = {"CallSid": "CA" + "7" * 32, "From": "+15550199999", "To": server.phone.number}
        await until(
            lambda: postgres.execute("SELECT 1 FROM servers", postgres_url) != [], "the first heartbeat"
        )
        await server.post("/voice", **form)
        with postgres.down():
            document = await ended(server, form, SessionId="VX1", ErrorCode="64102")
    assert f'welcomeGreeting="{server.settings.greeting}"' in document


async def test_a_history_that_could_not_be_read_is_told_to_the_agent_once_it_can(
    tmp_path: Path, postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_socket, "LATE_SECONDS", (0.05,) * 400)
    settings = {"agent": "support.survivors:storyteller"}
    async with two_machines(tmp_path, postgres_url, **settings) as (server, other), server.call() as call:
        await call.reply()
        story = (await call.ask("Tell me a story.")).text
        with postgres.down():
            server.network.base = other
            await call.drop(unnoticed=True)
            await call.reply()
            assert story not in (await call.ask("Do you remember?")).text
        answer = ""
        async with asyncio.timeout(30):
            while story not in answer:
                answer = (await call.ask("And do you remember now?")).text
    said = [part.partition(": ")[2] for part in answer.split(" and then ")]
    line = server.settings
    assert said[:4] == [line.greeting, "Tell me a story.", story, line.resume_greeting]
    assert said.count(story) == 1
    fine(call)


@asynccontextmanager
async def handed_over_by_another_machine(
    folder: Path, postgres: Postgres, postgres_url: str, person: Person
) -> AsyncIterator[PhoneCall]:
    """A call on its way to a person, in an outage, and on a machine that does not know of the handoff."""
    settings = {"agent": "support.survivors:operator", "handoff_to": NUMBERS, "handoff_then": "agent"}
    async with AsyncExitStack() as stack:
        server, other = await stack.enter_async_context(two_machines(folder, postgres_url, **settings))

        def rung(happening: PhoneEvent) -> None:
            if happening.kind == "rings":
                postgres.stop()
                server.network.base = other

        stack.callback(postgres.start)
        call = await stack.enter_async_context(server.call(person, watch=rung))
        await call.reply()
        first = server.network.base
        await crash(server, call, other, Served)  # from now on the other machine knows the call
        await call.reply()
        server.network.base = first
        await call.say("I want my money back.")
        assert (await call.reply()).text == survivors.PUT_THROUGH
        yield call
        assert "<Transcription" in call.documents[2]
        fine(call)


async def test_nobody_is_stranded_where_another_machine_began_the_handoff_and_cannot_be_asked(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    async with handed_over_by_another_machine(tmp_path, postgres, postgres_url, Person("no-answer")) as call:
        assert (await call.reply()).text == NumberSettings().handoff_return_line
        await call.hang_up()


async def test_a_person_takes_a_call_where_another_machine_began_the_handoff_and_cannot_be_asked(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    person = Person("answers", says=["Anna here."])
    async with handed_over_by_another_machine(tmp_path, postgres, postgres_url, person) as call:
        assert (await call.reply()).text == "Anna here."
        await call.hang_up()


async def test_every_machine_answers_alike_however_often_it_is_asked(
    tmp_path: Path, postgres_url: str
) -> None:
    async with two_machines(tmp_path, postgres_url, agent="support.agents:echo") as (server, other):
        form = {"CallSid": "CA" + "7" * 32, "From": "+15550199999", "To": server.phone.number}
        await server.post("/voice", **form)
        documents = [await ended(server, form, SessionId="VX1") for _ in range(2)]
        server.base_url = other
        documents += [await ended(server, form, SessionId="VX1") for _ in range(2)]
        documents += [await asked(server, "/voice/resume?hop=1", form) for _ in range(2)]
    tickets = {document.partition("/relay/")[2].partition('"')[0] for document in documents}
    assert len(tickets) == len(documents)
    for ticket in tickets:
        documents = [document.replace(ticket, "…") for document in documents]
    assert len(set(documents)) == 1


async def test_a_ticket_whose_machine_died_before_the_session_began_opens_it_on_another(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_socket, "SECONDS_TO_BEGIN", 0.01)
    async with two_machines(tmp_path, postgres_url) as (server, other):
        form = {"CallSid": "CA" + "7" * 32, "From": "+15550199999", "To": server.phone.number}
        url = (await (await server.post("/voice", **form)).text()).partition('url="')[2].partition('"')[0]
        first = await server.network.connect(url)
        server.network.base = other
        second = await server.network.connect(url)
        account = server.settings.account_sid
        setup = {"type": "setup", "sessionId": "VX1", "callSid": form["CallSid"], "accountSid": account}
        await second.send(json.dumps(setup))
        async with Journal(postgres_url, create=False) as journal, asyncio.timeout(30):
            while not of(await journal.events(form["CallSid"]), Connected):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        with pytest.raises(WebhookError, match="403"):
            await server.network.connect(url)
        await first.close()
        await second.close()


async def test_a_ticket_opens_one_socket_on_all_machines_together(tmp_path: Path, postgres_url: str) -> None:
    async with two_machines(tmp_path, postgres_url) as (server, other), server.call() as call:
        await call.reply()
        url = call.documents[0].partition('url="')[2].partition('"')[0]
        server.network.base = other
        with pytest.raises(WebhookError, match="403"):
            await server.network.connect(url)
    assert of(await written(postgres_url, call), Failed) == [
        Failed("socket", "the token has opened a session before")
    ]


async def test_what_two_machines_write_is_in_order_though_the_clock_of_one_is_ahead_and_no_database_there(
    tmp_path: Path, postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_machines(tmp_path, postgres_url) as (server, other):
        form = {"CallSid": "CA" + "7" * 32, "From": "+15550199999", "To": server.phone.number}
        with postgres.down():
            with monkeypatch.context() as patch:
                ids = "voice_app.journal.journal.uuid_utils.uuid7"
                patch.setattr(ids, lambda: ahead_of(time.time() + 3600))
                document = await (await server.post("/voice", **form)).text()
            server.network.base = other
            url = document.partition('url="')[2].partition('"')[0]
            await (await server.network.connect(url)).close()
    async with Journal(postgres_url, create=False) as journal:
        entries = await journal.events(form["CallSid"])
    assert [type(entry.event) for entry in entries][:3] == [Opened, Served, SocketOpened]


def ahead_of(seconds: float) -> str:
    """A UUIDv7 of a clock that shows this time."""
    return str(UUID(int=int(seconds * 1000) << 80 | 7 << 76 | 2 << 62 | randbits(62)))


# --- the bound -----------------------------------------------------------------------------------


async def test_a_session_that_breaks_too_often_goes_to_a_person_and_then_to_the_voicemail(
    tmp_path: Path,
) -> None:
    async with (
        sandbox(tmp_path, max_resumes=2, handoff_to=NUMBERS) as server,
        server.call(Person("no-answer")) as call,
    ):
        await call.reply()
        for _ in range(2):
            await call.ask("Are you there?")
            await call.drop()
            assert (await call.reply()).text == server.settings.resume_greeting
        await call.drop()
        assert "Please leave a message" in (await call.reply()).text
    assert [ending.status for ending in call.endings] == ["failed"] * 3
    assert "<Dial" in call.documents[3]
    fine(call)


async def test_the_line_is_not_excused_twice_in_a_row(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo") as server, server.call() as call:
        await call.reply()
        await call.drop()
        await call.reply()
        await call.drop()
        answer = (await call.ask("Hello?")).text
    assert answer == "You said: Hello? Before that there were 2 messages."
    assert "welcomeGreeting" not in call.documents[2]
    fine(call)


# --- Twilio comes back ---------------------------------------------------------------------------


@pytest.fixture(params=["same", "new", "none"])
def habits(request: pytest.FixtureRequest) -> Reconnecting:
    """Every way in which Twilio may come back."""
    setup: ReconnectSetup = request.param
    return Reconnecting(setup=setup, every_seconds=0.01)


@pytest.mark.parametrize("unnoticed", [True, False])
async def test_twilio_comes_back_and_nobody_notices(
    tmp_path: Path, habits: Reconnecting, *, unnoticed: bool
) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo", reconnect=True) as server:
        server.phone.reconnecting = habits
        async with server.call() as call:
            await call.reply()
            assert await call.drop(unnoticed=unnoticed)
            answer = (await call.ask("Do you remember?")).text
            assert answer == "You said: Do you remember? Before that there were 1 messages."
            answer = (await call.ask("And now?")).text
            assert answer == "You said: And now? Before that there were 3 messages."
    assert sum("<ConversationRelay" in document for document in call.documents) == 1
    assert 'applicationReconnect="true"' in call.documents[0]
    assert [ending.status for ending in call.endings] == ["completed"]
    fine(call)


async def test_twilio_comes_back_to_another_machine(
    tmp_path: Path, postgres_url: str, habits: Reconnecting
) -> None:
    settings = {"agent": "support.agents:echo", "reconnect": True}
    async with two_machines(tmp_path, postgres_url, **settings) as (server, other):
        server.phone.reconnecting = habits
        async with server.call() as call:
            await call.reply()
            await call.ask("Hello?")
            await crash(server, call, other, Replied)
            answer = (await call.ask("Do you remember?")).text
    assert answer == "You said: Do you remember? Before that there were 3 messages."
    assert sum("<ConversationRelay" in document for document in call.documents) == 1
    assert len(of(await written(postgres_url, call), Reconnected)) == 1
    fine(call)


async def test_a_question_that_was_being_answered_is_answered_after_all(
    tmp_path: Path, habits: Reconnecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = survivors.Slow()
    monkeypatch.setattr(survivors, "slow", slow, raising=False)
    async with sandbox(tmp_path, agent="support.survivors:slow", reconnect=True) as server:
        server.phone.reconnecting = habits
        async with server.call() as call:
            await call.reply()
            await call.say("Are you open?")
            await slow.asked.wait()
            await call.drop()
            assert (await call.reply()).text == "Finally: Are you open?"
    assert slow.times == 2
    fine(call)


async def test_an_answer_that_was_cut_off_is_excused_with_one_line(
    tmp_path: Path, habits: Reconnecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survivors, "slow", survivors.Slow(), raising=False)
    async with sandbox(tmp_path, agent="support.survivors:slow", reconnect=True) as server:
        server.phone.reconnecting = habits
        async with server.call() as call:
            await call.reply()
            assert (await call.ask("Look it up.")).text == "Let me see."
            await call.drop()
            assert (await call.reply()).text == server.settings.resume_greeting
            assert (await call.ask("Well?")).text == "Finally: Well?"
    fine(call)


async def test_a_handoff_is_carried_out_when_twilio_comes_back(
    tmp_path: Path, postgres_url: str, habits: Reconnecting
) -> None:
    person = Person("answers", says=["Anna here."])
    settings = {"agent": "support.survivors:operator", "handoff_to": NUMBERS, "reconnect": True}
    async with two_machines(tmp_path, postgres_url, **settings) as (server, other):
        server.phone.reconnecting = habits
        async with server.call(person) as call:
            await call.reply()
            await call.say("I want my money back.")
            await crash(server, call, other, Acted, after_words=3)
            session = call.session
            assert session is not None
            session.voice.release()
            assert (await call.reply()).text == survivors.PUT_THROUGH
            assert (await call.reply()).text == "Anna here."
    assert [ending.status for ending in call.endings] == ["ended"]
    assert "Wants a refund for order 81." in " ".join(person.heard)
    fine(call)


async def test_twilio_gives_up_and_asks_the_action(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo", reconnect=True) as server:
        server.phone.reconnecting = Reconnecting(give_up_seconds=0.0)
        async with server.call() as call:
            await call.reply()
            await call.ask("Hello?")
            await call.drop()
            assert (await call.reply()).text == server.settings.resume_greeting
            answer = (await call.ask("Do you remember?")).text
    assert answer == "You said: Do you remember? Before that there were 4 messages."
    assert [ending.error_code for ending in call.endings] == [64105, None]
    fine(call)


async def test_nobody_comes_back_where_the_line_does_not_ask_for_it(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo") as server, server.call() as call:
        await call.reply()
        url = call.documents[0].partition('url="')[2].partition('"')[0]
        assert not await call.drop()
        assert (await call.reply()).text == server.settings.resume_greeting
        with pytest.raises(WebhookError, match="403"):
            await server.network.connect(url)
    assert "applicationReconnect" not in call.documents[0]


async def test_nobody_comes_back_to_a_session_that_ended(tmp_path: Path) -> None:
    async with sandbox(tmp_path, reconnect=True) as server:
        async with server.call() as call:
            await call.reply()
            await call.ask("Goodbye.")
            await call.over.wait()
        url = call.documents[0].partition('url="')[2].partition('"')[0]
        with pytest.raises(WebhookError, match="403"):
            await server.network.connect(url)


# --- helpers -------------------------------------------------------------------------------------


async def ended(server: Sandbox, form: dict[str, str], **more: str) -> str:
    """The answer to the report that a session has failed."""
    return await asked(server, "/voice/relay-ended", {**form, "SessionStatus": "failed", **more})


async def asked(server: Sandbox, path: str, form: dict[str, str]) -> str:
    response = await server.post(path, **form)
    assert response.status == 200
    document = await response.text()
    assert lint_text(document, path) == []
    return document
