"""The other verbs on the sandbox's phone: ``<Gather>``, ``<Record>``, and those that lead elsewhere."""

from __future__ import annotations

import asyncio
import re

import pytest

from support.twiml_server import ACCOUNT, TwimlServer, relay, start, twiml_server
from voice_app.sandbox.phone import CallOverError, Person, program

# --- Gather --------------------------------------------------------------------------------------


def gather(inside: str = "<Say>Which department?</Say>", **attributes: str) -> dict[str, str]:
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return {
        "/voice": f"<Gather{written}>{inside}</Gather><Say>Nothing was pressed.</Say>",
        "/keys": "<Say>Thank you.</Say>",
    }


async def test_keys_are_gathered_up_to_their_number() -> None:
    async with twiml_server(gather(action="/keys", numDigits="2")) as server, server.call() as call:
        await call.reply()
        await call.press("42")
        assert (await call.reply()).text == "Thank you."
    assert server.form("/keys")["Digits"] == "42"


async def test_keys_are_gathered_up_to_the_finishing_key() -> None:
    async with twiml_server(gather(action="/keys", finishOnKey="*")) as server, server.call() as call:
        await call.reply()
        await call.press("1#2*")
        assert (await call.reply()).text == "Thank you."
    assert server.form("/keys")["Digits"] == "1#2"


async def test_keys_are_gathered_until_the_caller_is_silent() -> None:
    async with twiml_server(gather(action="/keys")) as server, server.call() as call:
        await call.reply()
        await call.press("7")
        await call.stay_silent()
        assert (await call.reply()).text == "Thank you."
    assert server.form("/keys")["Digits"] == "7"


async def test_a_silent_caller_comes_to_the_next_verb() -> None:
    async with twiml_server(gather(action="/keys")) as server, server.call() as call:
        await call.reply()
        await call.stay_silent()
        assert (await call.reply()).text == "Nothing was pressed."
    assert server.forms("/keys") == []


async def test_an_empty_result_is_told_where_that_is_wanted() -> None:
    documents = gather(action="/keys", actionOnEmptyResult="true", timeout="0")
    async with twiml_server(documents) as server, server.call() as call:
        await call.over.wait()
    assert server.form("/keys")["Digits"] == ""


async def test_without_an_action_the_document_itself_is_asked() -> None:
    async with twiml_server(gather(numDigits="1")) as server, server.call() as call:
        await call.press("1")
        await server.until_asked("/voice", 2)
    assert server.forms("/voice")[1]["Digits"] == "1"


async def test_a_key_stops_the_prompt() -> None:
    documents = gather('<Play loop="0">/music.mp3</Play>', action="/keys", numDigits="1")
    async with twiml_server(documents) as server, server.call() as call:
        await call.press("1")
        assert (await call.reply()).text == "Thank you."


async def test_words_are_gathered_where_they_are_asked_for() -> None:
    async with twiml_server(gather(action="/keys", input="speech")) as server, server.call() as call:
        await call.reply()
        await call.press("1")
        await call.say("The workshop, please.")
        assert (await call.reply()).text == "Thank you."
    form = server.form("/keys")
    assert form["SpeechResult"] == "The workshop, please."
    assert 0 < float(form["Confidence"]) <= 1
    assert "Digits" not in form


# --- Record --------------------------------------------------------------------------------------


def record(**attributes: str) -> dict[str, str]:
    given = {
        "action": "/recorded",
        "recordingStatusCallback": "/status",
        "recordingStatusCallbackEvent": "completed absent",
        "transcribeCallback": "/text",
    } | attributes
    written = "".join(f' {name}="{value}"' for name, value in given.items())
    return {
        "/voice": f"<Say>Leave a message.</Say><Record{written}/><Say>We heard nothing.</Say>",
        "/recorded": "<Say>Thank you.</Say>",
    }


async def test_a_message_is_recorded_until_the_caller_is_silent() -> None:
    async with twiml_server(record()) as server, server.call() as call:
        await call.reply()
        await call.say("This is Ann.")
        await call.say("Please call me back about order 81.")
        await call.stay_silent()
        assert (await call.reply()).text == "Thank you."
    (recording,) = call.recordings
    assert recording.text == "This is Ann. Please call me back about order 81."
    form, status, text = (server.form(path) for path in ("/recorded", "/status", "/text"))
    assert re.fullmatch("RE[0-9a-f]{32}", form["RecordingSid"])
    assert form["RecordingUrl"].endswith(f"/Recordings/{form['RecordingSid']}")
    assert (form["RecordingDuration"], form["Digits"]) == ("4", "")
    assert status["RecordingStatus"] == "completed"
    assert status["RecordingSource"] == "RecordVerb"
    assert text["TranscriptionText"] == recording.text
    assert text["TranscriptionStatus"] == "completed"
    assert {form["RecordingSid"], status["RecordingSid"], text["RecordingSid"]} == {recording.sid}


async def test_a_key_ends_the_message() -> None:
    async with twiml_server(record(finishOnKey="#")) as server, server.call() as call:
        await call.reply()
        await call.say("This is Ann.")
        await call.press("1#")
        assert (await call.reply()).text == "Thank you."
    assert server.form("/recorded")["Digits"] == "#"


async def test_hanging_up_ends_the_message_and_keeps_it() -> None:
    async with twiml_server(record()) as server, server.call() as call:
        await call.reply()
        await call.say("This is Ann. Please call me back.")
        await call.hang_up()
    form = server.form("/recorded")
    assert (form["Digits"], form["CallStatus"]) == ("hangup", "completed")
    assert len(call.recordings) == 1
    assert call.replies[-1].text == "Leave a message."


async def test_a_message_is_cut_at_its_longest() -> None:
    async with twiml_server(record(maxLength="10")) as server, server.call() as call:
        await call.reply()
        await call.say("word " * 100)
        assert (await call.reply()).text == "Thank you."
    assert server.form("/recorded")["RecordingDuration"] == "10"


async def test_an_empty_message_asks_for_nothing_and_the_next_verb_runs() -> None:
    async with twiml_server(record()) as server, server.call() as call:
        await call.reply()
        await call.stay_silent()
        assert (await call.reply()).text == "We heard nothing."
    assert server.forms("/recorded") == []
    assert server.form("/status")["RecordingStatus"] == "absent"
    assert call.recordings == []


async def test_hanging_up_without_a_word_records_nothing() -> None:
    async with twiml_server(record()) as server, server.call() as call:
        await call.reply()
        await call.hang_up()
    assert server.forms("/recorded") == []


async def test_a_message_that_is_too_short_to_be_understood_fails_to_be() -> None:
    async with twiml_server(record()) as server, server.call() as call:
        await call.say("Hi.")
        await call.hang_up()
    assert server.form("/text")["TranscriptionStatus"] == "failed"


# --- where the call goes -------------------------------------------------------------------------


async def test_ssml_is_heard_without_its_marks() -> None:
    say = "<Say>Your code is <say-as interpret-as='digits'>42</say-as>.<break time='1s'/> Goodbye.</Say>"
    async with twiml_server({"/voice": say}) as server, server.call() as call:
        assert (await call.reply()).text == "Your code is 42. Goodbye."


async def test_a_redirect_leads_to_another_document() -> None:
    documents = {"/voice": "<Redirect method='GET'>/next?a=b</Redirect>", "/next": "<Say>Here.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        assert (await call.reply()).text == "Here."
    (asked,) = [asked for asked in server.asked if asked.path == "/next"]
    assert asked.method == "GET"
    assert (asked.form["a"], asked.form["CallSid"]) == ("b", call.sid)


async def test_a_studio_flow_takes_the_call_and_may_lead_to_a_person() -> None:
    flow = "FW" + "1" * 32
    url = f"https://webhooks.twilio.com/v1/Accounts/{ACCOUNT}/Flows/{flow}?Trigger=incomingCall"
    documents = {"/voice": relay(action=url)}
    async with twiml_server(documents) as server, server.call(Person("answers", says=["Robin."])) as call:
        await call.reply()
        await call.say("bye")
        assert (await call.reply()).text == "Robin."
        await call.person_hangs_up()
        await call.over.wait()
    (taken,) = call.flows
    assert (taken.sid, taken.form["SessionStatus"]) == (flow, "ended")
    assert call.problems == []


async def test_documents_that_go_in_a_circle_are_a_problem() -> None:
    async with twiml_server({"/voice": "<Redirect>/voice</Redirect>"}) as server, server.call() as call:
        await call.over.wait()
    assert "goes in a circle" in call.problems[0]


async def test_many_documents_of_a_long_call_are_no_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MAX_DOCUMENTS", 3)
    monkeypatch.setattr(program, "SECONDS_OF_A_STAY", 0.05)
    pages = {f"/{n}": f'<Pause length="20"/><Redirect>/{n + 1}</Redirect>' for n in range(2, 7)}
    documents = {"/voice": "<Redirect>/2</Redirect>", **pages, "/7": "<Say>At last.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        assert (await call.reply()).text == "At last."
    assert call.problems == []


async def test_the_call_is_answered_by_the_first_verb_that_needs_it() -> None:
    documents = {"/voice": "<Redirect>/next</Redirect>", "/next": "<Say>Hi.</Say><Redirect>/last</Redirect>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.over.wait()
    assert [asked.form["CallStatus"] for asked in server.asked] == ["ringing", "ringing", "in-progress"]


async def test_a_verb_that_is_not_simulated_is_a_problem() -> None:
    async with twiml_server({"/voice": "<Pay/><Say>Hello.</Say>"}) as server, server.call() as call:
        assert (await call.reply()).text == "Hello."
    assert call.problems == ["<Pay> is not simulated by this phone; it went on to the next verb"]


# --- the REST API's side -------------------------------------------------------------------------


async def test_a_session_can_be_taken_away_from_the_agent() -> None:
    documents = {"/voice": relay(), "/elsewhere": "<Say>A person takes over.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.reply()
        await call.redirect("https://voice.example.com/elsewhere")
        assert (await call.reply()).text == "A person takes over."
    assert server.forms("/ended") == []
    assert server.form("/elsewhere")["CallStatus"] == "in-progress"


async def test_a_call_can_be_given_other_twiml_while_it_rings_somebody() -> None:
    documents = {"/voice": start() + '<Dial action="/dialled" timeout="600">+15550100011</Dial>'}
    twiml = "<Response><Say>Plans have changed.</Say></Response>"
    async with twiml_server(documents) as server, server.call(Person("no-answer")) as call:
        await server.until_asked("/transcription")
        await call.redirect(twiml=twiml)
        assert (await call.reply()).text == "Plans have changed."
    assert server.forms("/dialled") == []
    assert call.problems == []


async def test_a_call_can_be_ended() -> None:
    async with twiml_server({"/voice": relay()}) as server, server.call() as call:
        await call.reply()
        await call.complete()
        with pytest.raises(CallOverError):
            await call.say("Hello?")
    assert server.form("/ended")["SessionStatus"] == "completed"


@pytest.mark.parametrize(
    "document",
    [
        relay(),
        '<Pause length="600"/>',
        "<Say>One two three four five six seven eight.</Say><Pause length='600'/>",
        '<Gather timeout="600"/>',
        '<Record timeout="600"/>',
        '<Dial timeout="600">+15550100011</Dial>',
        "<Dial><Conference>transfer</Conference></Dial>",
        "<Enqueue>support</Enqueue>",
    ],
)
async def test_a_caller_can_hang_up_anywhere(document: str) -> None:
    status = "https://voice.example.com/status"
    async with twiml_server({"/voice": start() + document}) as server, server.call(status_url=status) as call:
        await server.until_asked("/transcription")
        await call.hang_up()
    assert server.form("/status")["CallStatus"] == "completed"
    assert server.events()[-1]["TranscriptionEvent"] == "transcription-stopped"


@pytest.mark.parametrize(
    "document", [relay(), "<Enqueue>support</Enqueue>", f"{start()}<Dial>+15550100011</Dial>"]
)
async def test_a_call_that_is_given_up_leaves_nothing_behind(document: str) -> None:
    async def give_up(server: TwimlServer) -> None:
        async with server.call(Person("answers")) as call:
            await call.attended()
            raise KeyError("given up")

    async with twiml_server({"/voice": document}) as server:
        before = asyncio.all_tasks()
        with pytest.raises(KeyError, match="given up"):
            await give_up(server)
        ours = {task for task in asyncio.all_tasks() - before if "aiohttp" not in repr(task)}
        assert ours == set()
