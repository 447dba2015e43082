"""``<Enqueue>`` on the sandbox's phone: waiting, being taken, leaving."""

from __future__ import annotations

import json
import re

import pytest

from support.twiml_server import twiml_server
from voice_app.sandbox.phone import Person

WORKFLOW = "WW" + "1" * 32


def enqueue(
    inside: str = "support", wait: str = "<Say>Please hold.</Say>", **attributes: str
) -> dict[str, str]:
    given = {"action": "/left", "waitUrl": "/wait"} | attributes
    written = "".join(f' {name}="{value}"' for name, value in given.items() if value)
    return {
        "/voice": f"<Enqueue{written}>{inside}</Enqueue><Say>The verb after it.</Say>",
        "/wait": wait,
        "/left": "<Say>Out of the queue.</Say>",
    }


async def test_a_caller_waits_and_is_taken_by_a_person() -> None:
    robin = Person("answers", says=["Robin here."])
    async with twiml_server(enqueue()) as server, server.call(robin) as call:
        assert (await call.reply()).text == "Please hold."
        await call.bridged()
        await call.say("Hello Robin.")
        await call.person_hangs_up()
        await call.over.wait()
    assert "Robin here." in [reply.text for reply in call.replies]
    assert call.replies[-1].text == "Out of the queue."
    assert robin.heard == ["Hello Robin."]
    form, waited = server.form("/left"), server.forms("/wait")[0]
    assert form["QueueResult"] == "bridged"
    assert re.fullmatch("QU[0-9a-f]{32}", form["QueueSid"])
    assert form["QueueTime"].isdecimal()
    assert waited["QueueSid"] == form["QueueSid"]
    assert (waited["QueuePosition"], waited["CurrentQueueSize"]) == ("1", "1")
    assert {"QueueTime", "AvgQueueTime"} <= waited.keys()
    assert call.problems == []


async def test_others_are_taken_first() -> None:
    async with (
        twiml_server(enqueue(), queue_ahead=2) as server,
        server.call(Person("answers")) as call,
    ):
        await call.bridged()
    positions = [form["QueuePosition"] for form in server.forms("/wait")]
    assert positions[:3] == ["3", "2", "1"]


async def test_music_is_enough_to_wait_with() -> None:
    sounds: list[str] = []
    async with (
        twiml_server(enqueue(waitUrl="")) as server,
        server.call(
            Person("answers"),
            watch=lambda event: sounds.append(event.text) if event.kind == "sound" else None,
        ) as call,
    ):
        await call.bridged()
    assert sounds == ["music"]


async def test_the_document_can_leave_the_queue() -> None:
    documents = enqueue(wait="<Say>Nobody is free.</Say><Leave/>")
    async with twiml_server(documents) as server, server.call() as call:
        assert (await call.reply()).text == "Nobody is free."
        assert (await call.reply()).text == "Out of the queue."
    assert server.form("/left")["QueueResult"] == "leave"


async def test_the_document_can_ask_for_a_key_and_then_leave() -> None:
    wait = '<Gather numDigits="1" action="/pressed"><Say>Press 1 for voicemail.</Say></Gather>'
    documents = enqueue(wait=wait) | {"/pressed": "<Leave/>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.reply()
        await call.press("1")
        assert (await call.reply()).text == "Out of the queue."
    assert server.form("/pressed")["Digits"] == "1"


async def test_the_document_can_hang_up() -> None:
    async with twiml_server(enqueue(wait="<Hangup/>")) as server, server.call() as call:
        await call.over.wait()
    form = server.form("/left")
    assert (form["QueueResult"], form["CallStatus"]) == ("hangup", "completed")


async def test_a_caller_may_hang_up_while_waiting() -> None:
    async with twiml_server(enqueue()) as server, server.call() as call:
        await call.reply()
        await call.hang_up()
    assert server.form("/left")["QueueResult"] == "hangup"
    assert "Out of the queue." not in [reply.text for reply in call.replies]


async def test_a_caller_who_hangs_up_on_the_person_was_bridged() -> None:
    async with twiml_server(enqueue()) as server, server.call(Person("answers")) as call:
        await call.bridged()
        await call.hang_up()
    form = server.form("/left")
    assert (form["QueueResult"], form["CallStatus"]) == ("bridged", "completed")


async def test_a_full_queue_takes_nobody() -> None:
    async with twiml_server(enqueue(maxQueueSize="2"), queue_ahead=2) as server, server.call() as call:
        assert (await call.reply()).text == "Out of the queue."
    form = server.form("/left")
    assert form["QueueResult"] == "queue-full"
    assert "QueueSid" not in form


async def test_a_task_is_made_with_its_attributes() -> None:
    attributes = {"reason": "billing", "conversationId": "conv_conversation_1"}
    task = f'<Task priority="5" timeout="60">{json.dumps(attributes)}</Task>'
    documents = enqueue(task, workflowSid=WORKFLOW)
    async with twiml_server(documents) as server, server.call(Person("answers")) as call:
        await call.bridged()
    (made,) = call.tasks
    assert made.attributes == attributes
    assert (made.workflow_sid, made.priority, made.timeout) == (WORKFLOW, 5, 60)


@pytest.mark.parametrize(
    ("inside", "attributes"),
    [
        ("", {}),
        ("x" * 65, {}),
        ("<Task>{}</Task>", {}),
        ("<Task>no json</Task>", {"workflowSid": WORKFLOW}),
        ("<Task>[1]</Task>", {"workflowSid": WORKFLOW}),
    ],
)
async def test_what_cannot_be_queued_is_an_error(inside: str, attributes: dict[str, str]) -> None:
    async with twiml_server(enqueue(inside, **attributes)) as server, server.call() as call:
        assert (await call.reply()).text == "Out of the queue."
    assert server.form("/left")["QueueResult"] == "error"
    assert len(call.problems) == 1
    assert call.tasks == []


async def test_verbs_that_may_not_run_while_waiting_are_passed_over() -> None:
    documents = enqueue(wait="<Dial>+15550100011</Dial><Leave/>")
    async with twiml_server(documents) as server, server.call() as call:
        await call.over.wait()
    assert call.problems == ["<Dial> may not run while a caller waits; it went on to the next verb"]


async def test_a_document_that_cannot_be_had_leaves_music() -> None:
    async with (
        twiml_server(enqueue(wait="<Nonsense/>")) as server,
        server.call(Person("answers")) as call,
    ):
        await call.bridged()
    assert "there is only music for who waits" in call.problems[0]


async def test_the_rest_api_can_take_a_caller_out_of_the_queue() -> None:
    documents = enqueue() | {"/elsewhere": "<Say>You are somewhere else.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.reply()
        await call.redirect("https://voice.example.com/elsewhere")
        heard = [(await call.reply()).text]
        while heard[-1] == "Please hold.":
            heard.append((await call.reply()).text)
    assert heard[-1] == "You are somewhere else."
    assert server.form("/left")["QueueResult"] == "redirected"
    assert "Out of the queue." not in [reply.text for reply in call.replies]
