"""Whether a new call is taken, and what it gets if not."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.sandbox import Sandbox, recorded, sandbox
from voice_app.journal import events
from voice_app.relay.connection import Connection
from voice_app.runtime import Admission, CallRegistry, ExpectedNext, ServingState
from voice_app.runtime.capacity import DELAY_SAMPLE_SECONDS, DELAY_SAMPLES, LONGEST_OF_SAMPLES, LoopDelay
from voice_app.sandbox.phone import Person
from voice_app.telemetry import metrics

CALLS = ["CA1", "CA2", "CA3"]
OFFER = "Press 1, and we will call you back"
OTHER = "CA" + "9" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def socket() -> Connection:
    """Something to be counted: nothing here asks it anything."""
    return cast(Connection, object())


# --- who is on the line ----------------------------------------------------------------------------


def test_a_call_that_was_answered_counts_until_its_socket_is_overdue() -> None:
    clock = Clock()
    registry = CallRegistry(clock)
    registry.expect("CA1", ExpectedNext.SOCKET)
    assert (registry.with_agent, registry.open) == (1, 1)
    clock.now = ExpectedNext.SOCKET.value
    assert (registry.with_agent, registry.open) == (0, 0)


def test_a_call_whose_socket_is_open_counts_once() -> None:
    registry = CallRegistry()
    registry.expect("CA1", ExpectedNext.SOCKET)
    registry.connected("CA1", socket())
    assert (registry.connecting, registry.with_agent, registry.open) == (0, 1, 1)


def test_between_the_session_and_what_follows_a_call_is_open_but_not_with_the_agent() -> None:
    registry, connection = CallRegistry(), socket()
    registry.connected("CA1", connection)
    registry.disconnected("CA1", connection)
    assert (registry.with_agent, registry.open, registry.parked) == (0, 1, 0)
    registry.call_ended("CA1")
    assert registry.open == 0


def test_what_twilio_asked_before_the_socket_was_seen_to_close_is_not_forgotten() -> None:
    registry, connection = CallRegistry(), socket()
    registry.connected("CA1", connection)
    registry.expect("CA1", ExpectedNext.PEOPLE)
    registry.disconnected("CA1", connection)
    assert (registry.open, registry.parked) == (0, 1)


def test_a_socket_that_another_one_has_replaced_takes_nothing_along_when_it_closes() -> None:
    registry, first, second = CallRegistry(), socket(), socket()
    registry.connected("CA1", first)
    registry.connected("CA1", second)
    registry.disconnected("CA1", first)
    assert registry.sessions == {"CA1": second}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(CALLS),
            st.sampled_from(["socket", "choice", "people", "connect", "disconnect", "over", "time"]),
        )
    )
)
def test_a_call_is_in_one_place_at_a_time_and_leaves_nothing_behind(steps: list[tuple[str, str]]) -> None:
    clock = Clock()
    registry = CallRegistry(clock)
    sessions = registry.sessions
    for sid, step in steps:
        match step:
            case "connect":
                registry.connected(sid, socket())
            case "disconnect":
                if sid in sessions:
                    registry.disconnected(sid, sessions[sid])
            case "over":
                registry.call_ended(sid)
            case "time":
                clock.now += 3
            case _:
                registry.expect(sid, ExpectedNext[step.upper()])
        assert registry.open + registry.parked <= len(CALLS)
        assert len(sessions) <= registry.with_agent <= registry.open
    for sid, connection in list(sessions.items()):
        registry.disconnected(sid, connection)
    clock.now += ExpectedNext.PEOPLE.value
    assert (registry.open, registry.parked) == (0, 0)


# --- how late the loop is ----------------------------------------------------------------------------


def test_one_long_stall_is_no_delay_and_trouble_that_lasts_is() -> None:
    delay = LoopDelay()
    delay.add(30.0)
    assert delay.seconds == 0
    for _ in range(DELAY_SAMPLES // 2):
        delay.add(0.4)
    assert delay.seconds == 0.4
    for _ in range(DELAY_SAMPLES // 2 + 1):
        delay.add(0.0)
    assert delay.seconds == 0


def test_a_single_stall_is_seen_for_a_minute() -> None:
    delay = LoopDelay()
    assert delay.longest_seconds == 0
    delay.add(5.0)
    assert (delay.seconds, delay.longest_seconds) == (0, 5.0)
    assert metrics.METRICS.sample("voice_app_loop_lag_longest_seconds") == 5.0
    assert metrics.METRICS.sample("voice_app_loop_lag_seconds") == delay.seconds
    for _ in range(LONGEST_OF_SAMPLES - 1):
        delay.add(0.01)
    assert (delay.seconds, delay.longest_seconds) == (0.01, 5.0)
    delay.add(0.02)
    assert delay.longest_seconds == 0.02


async def test_a_step_that_blocks_the_loop_is_the_longest_stall() -> None:
    delay = LoopDelay()
    sample = asyncio.create_task(delay.sample())
    await asyncio.sleep(0)
    time.sleep(DELAY_SAMPLE_SECONDS + 0.1)  # noqa: ASYNC251 - that is what is tested
    await sample
    assert delay.longest_seconds >= 0.09
    assert delay.seconds == 0


async def test_a_free_loop_is_on_time() -> None:
    delay = LoopDelay()
    await delay.sample()
    assert delay.seconds >= 0


def test_a_process_that_is_late_is_full_and_ready_again_when_it_has_caught_up() -> None:
    admission = Admission(CallRegistry(), max_lag_ms=250)
    for _ in range(DELAY_SAMPLES):
        admission.delay.add(0.3)
    assert admission.state is ServingState.FULL
    assert admission.reason == "it is 300 ms late with its work (VOICE_APP_MAX_LAG_MS)"
    for _ in range(DELAY_SAMPLES):
        admission.delay.add(0.2)
    assert (admission.state, admission.reason) == (ServingState.READY, "")


def test_without_limits_nothing_is_full() -> None:
    registry = CallRegistry()
    for sid in CALLS:
        registry.connected(sid, socket())
    admission = Admission(registry)
    for _ in range(DELAY_SAMPLES):
        admission.delay.add(60.0)
    assert admission.state is ServingState.READY


def test_a_change_is_published_once() -> None:
    registry = CallRegistry()
    admission = Admission(registry, max_calls=1)
    registry.connected("CA1", socket())
    admission.drain()
    assert admission.changed.is_set()
    assert (admission.state, admission.draining, admission.closing) == (ServingState.DRAINING, True, False)
    admission.changed.clear()
    admission.close()
    assert admission.closing
    assert not admission.changed.is_set()


# --- what a caller gets -------------------------------------------------------------------------------


async def test_a_full_server_offers_to_call_back_and_those_who_talk_hear_nothing_of_it(
    tmp_path: Path,
) -> None:
    async with sandbox(tmp_path, call_back=True, max_calls=1) as server, server.call() as call:
        await call.reply()
        async with server.http.get(f"{server.base_url}/readyz") as response:
            assert response.status == 200
            assert "takes no new calls: it has 1 calls" in await response.text()
        async with server.call() as turned_away:
            assert OFFER in (await turned_away.reply()).text
            await turned_away.press("1")
            assert "We will call you back" in (await turned_away.reply()).text
            await turned_away.over.wait()
        assert (await call.ask("What does a repair cost?")).text.startswith("A full service costs")
    assert (call.problems, turned_away.problems) == ([], [])
    kinds = [entry.event for entry in await recorded(tmp_path, turned_away.sid)]
    assert events.TurnedAway("full", "message") in kinds
    assert events.CallbackWanted(server.phone.caller, server.phone.number) in kinds


async def test_a_caller_who_presses_nothing_is_asked_to_call_again(tmp_path: Path) -> None:
    async with sandbox(tmp_path, call_back=True, max_calls=1) as server, server.call() as call:
        await call.reply()
        async with server.call() as turned_away:
            assert OFFER in (await turned_away.reply()).text
            await turned_away.stay_silent()
            assert (await turned_away.reply()).text == "Please call again in a few minutes. Goodbye."
            await turned_away.over.wait()
    assert turned_away.problems == []
    kinds = [type(entry.event) for entry in await recorded(tmp_path, turned_away.sid)]
    assert events.CallbackWanted not in kinds


async def test_another_key_brings_the_offer_again(tmp_path: Path) -> None:
    async with sandbox(tmp_path, call_back=True, max_calls=1) as server, server.call() as call:
        await call.reply()
        async with server.call() as turned_away:
            await turned_away.reply()
            await turned_away.press("7")
            assert OFFER in (await turned_away.reply()).text


@pytest.mark.parametrize("caller", ["client:anna", "sip:anna@example.com", "+266696687", "anonymous"])
async def test_who_cannot_be_called_back_gets_no_offer(tmp_path: Path, caller: str) -> None:
    async with sandbox(tmp_path, call_back=True, max_calls=1) as server, server.call() as call:
        await call.reply()
        response = await server.post("/voice", CallSid=OTHER, From=caller, To=server.phone.number)
        document = await response.text()
        assert "call again in a few minutes" in document
        assert "<Gather" not in document
        wanted = await server.post("/voice/callback", CallSid=OTHER, From=caller, Digits="1")
        assert "call you back" not in await wanted.text()


async def test_when_it_is_full_people_take_the_call(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, call_back=True, max_calls=1, handoff_to=("+15550100010",)) as server,
        server.call() as call,
    ):
        await call.reply()
        async with server.call(Person("answers", says=["Anna here."])) as turned_away:
            await turned_away.bridged()
            assert (await turned_away.reply()).text == "Anna here."
    assert (call.problems, turned_away.problems) == ([], [])
    kinds = [entry.event for entry in await recorded(tmp_path, turned_away.sid)]
    assert events.TurnedAway("full", "people") in kinds


async def test_who_is_not_reached_by_people_does_not_come_to_the_agent_after_all(tmp_path: Path) -> None:
    people: dict[str, Any] = {"handoff_to": ("+15550100010",), "handoff_then": "agent"}
    async with sandbox(tmp_path, call_back=True, max_calls=1, **people) as server, server.call() as call:
        await call.reply()
        async with server.call(Person("busy")) as turned_away:
            assert "Please leave a message" in (await turned_away.reply()).text
    assert turned_away.problems == []


async def test_a_line_may_want_the_message_instead_of_people(tmp_path: Path) -> None:
    people: dict[str, Any] = {"handoff_to": ("+15550100010",), "busy": "message"}
    async with sandbox(tmp_path, call_back=True, max_calls=1, **people) as server, server.call() as call:
        await call.reply()
        async with server.call() as turned_away:
            assert OFFER in (await turned_away.reply()).text


async def test_a_line_of_people_takes_calls_however_full_the_agent_is(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.toml"
    numbers.write_text('["+15550100002"]\nanswer = "people"\n')
    options: dict[str, Any] = {"handoff_to": ("+15550100010",), "numbers": numbers, "busy": "message"}
    async with sandbox(tmp_path, call_back=True, max_calls=1, **options) as server, server.call() as call:
        await call.reply()
        response = await server.post("/voice", CallSid=OTHER, From="+15550199998", To="+15550100002")
        assert "<Dial" in await response.text()


async def test_a_call_that_we_place_has_been_admitted(tmp_path: Path) -> None:
    async with sandbox(tmp_path, call_back=True, max_calls=1) as server, server.call() as call:
        await call.reply()
        form = {"From": server.phone.number, "To": "+15550199998", "Direction": "outbound-api"}
        response = await server.post("/voice", CallSid=OTHER, **form)
        assert "<ConversationRelay" in await response.text()


async def test_a_broken_socket_is_taken_up_again_however_full_the_server_is(tmp_path: Path) -> None:
    async with sandbox(tmp_path, call_back=True, max_calls=1) as server, server.call() as call:
        await call.reply()
        await call.drop()
        assert (await call.reply()).text == server.settings.resume_greeting
    assert call.problems == []


async def test_a_line_is_free_again_when_a_call_is_over(tmp_path: Path) -> None:
    async with sandbox(tmp_path, call_back=True, max_calls=1) as server:
        for _ in range(3):
            async with server.call() as call:
                assert (await call.reply()).text == server.settings.greeting


async def test_nobody_is_offered_a_call_back_unless_it_is_switched_on(tmp_path: Path) -> None:
    async with sandbox(tmp_path, max_calls=1) as server, server.call() as call:
        await call.reply()
        assert "<Gather" not in await turned_away_document(server)


async def test_a_number_that_failed_its_attestation_is_not_called_back(tmp_path: Path) -> None:
    async with sandbox(tmp_path, call_back=True, max_calls=1) as server, server.call() as call:
        await call.reply()
        for verdict, offered in (
            ("TN-Validation-Passed-A", True),
            ("No-TN-Validation", True),
            ("TN-Validation-Failed-A", False),
            ("TN-Validation-Failed", False),
        ):
            document = await turned_away_document(server, StirVerstat=verdict)
            assert ("<Gather" in document) is offered, verdict


async def turned_away_document(server: Sandbox, **form: str) -> str:
    response = await server.post("/voice", CallSid=OTHER, From="+15550199998", To=server.phone.number, **form)
    return await response.text()


def test_a_call_back_has_a_line_from_before_it_is_placed_until_it_is_over() -> None:
    registry = CallRegistry()
    admission = Admission(registry, max_calls=2)
    assert admission.reserve("one")
    assert admission.reserve("two")
    assert not admission.reserve("three")
    admission.placed("one", "CA1")
    assert registry.connecting == 2
    registry.expect("CA1", ExpectedNext.SOCKET)  # answered: the document went out
    assert registry.connecting == 2
    registry.call_ended("CA1")
    assert admission.reserve("three")
