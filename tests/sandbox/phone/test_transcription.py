"""``<Transcription>`` on the sandbox's phone, and the rule that only one engine listens at a time."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest

from support.twiml_server import ACCOUNT, TOKEN, in_order, relay, start, stop, twiml_server
from voice_app.sandbox.phone import CallbackOrder, Person
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve

DIAL = '<Dial action="/dialled"><Number>+15550100011</Number></Dial>'
HANDOFF = {"/voice": f"{start()}<Say>One moment.</Say>{DIAL}", "/dialled": f"{stop()}<Say>Goodbye.</Say>"}


def said(events: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Track and words of the final contents, as they happened."""
    return [
        (event["Track"], json.loads(event["TranscriptionData"])["transcript"])
        for event in in_order(events)
        if event["TranscriptionEvent"] == "transcription-content" and event["Final"] == "true"
    ]


async def test_everything_that_is_said_from_then_on_is_told_with_its_track() -> None:
    robin = Person("answers", says=["Robin here."])
    async with twiml_server(HANDOFF) as server, server.call(robin) as call:
        assert (await call.reply()).text == "One moment."
        assert (await call.reply()).text == "Robin here."
        await call.say("It is about order 81.")
        await call.person_hangs_up()
        assert (await call.reply()).text == "Goodbye."
    assert said(server.events()) == [
        ("outbound_track", "One moment."),
        ("outbound_track", "Robin here."),
        ("inbound_track", "It is about order 81."),
    ]
    assert call.problems == []
    assert call.engine_overlaps == []


async def test_the_fields_of_each_event_are_those_of_twilio() -> None:
    attributes = {"inboundTrackLabel": "caller", "outboundTrackLabel": "person", "hints": "Larkspur"}
    documents = {"/voice": f"{start(**attributes)}<Say>Hello there.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.over.wait()
    started, content, stopped = server.events()
    common = {"AccountSid", "CallSid", "TranscriptionSid", "Timestamp", "SequenceId", "TranscriptionEvent"}
    for number, event in enumerate((started, content, stopped), 1):
        assert event["SequenceId"] == str(number)
        assert (event["AccountSid"], event["CallSid"]) == (ACCOUNT, call.sid)
        assert re.fullmatch("GT[0-9a-f]{32}", event["TranscriptionSid"])
        assert datetime.fromisoformat(event["Timestamp"]).tzinfo is not None
    provider = json.loads(started.pop("ProviderConfiguration"))
    assert provider == {
        "profanityFilter": "true",
        "speechModel": "telephony",
        "enableAutomaticPunctuation": "true",
        "hints": "Larkspur",
    }
    assert {name: value for name, value in started.items() if name not in common} == {
        "TranscriptionEngine": "google",
        "Name": "handoff",
        "Track": "both_tracks",
        "InboundTrackLabel": "caller",
        "OutboundTrackLabel": "person",
        "PartialResults": "false",
        "LanguageCode": "en-US",
    }
    assert json.loads(content.pop("TranscriptionData")) == {"transcript": "Hello there.", "confidence": 0.95}
    assert {name: value for name, value in content.items() if name not in common} == {
        "LanguageCode": "en-US",
        "Track": "outbound_track",
        "Final": "true",
    }
    assert set(stopped) == common
    assert stopped["TranscriptionEvent"] == "transcription-stopped"


async def test_partial_results_repeat_everything_so_far_and_have_no_confidence() -> None:
    documents = {"/voice": f"{start(partialResults='true')}<Say>One two three four five.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.over.wait()
    *partials, final = server.events()[1:-1]
    assert [json.loads(event["TranscriptionData"]) for event in partials] == [
        {"transcript": "One two"},
        {"transcript": "One two three four"},
    ]
    assert [event["Final"] for event in partials] == ["false", "false"]
    assert 0 < float(partials[0]["Stability"]) < float(partials[1]["Stability"]) < 1
    assert "Stability" not in final


@pytest.mark.parametrize("track", ["inbound_track", "outbound_track"])
async def test_only_the_track_that_was_asked_for_is_transcribed(track: str) -> None:
    documents = {"/voice": start(track=track) + DIAL}
    robin = Person("answers", says=["Robin here."])
    async with twiml_server(documents) as server, server.call(robin) as call:
        await call.reply()
        await call.say("Hello.")
    assert {found for found, _ in said(server.events())} == {track}


async def test_words_to_a_menu_and_to_a_recorder_are_told_too() -> None:
    documents = {"/voice": f'{start()}<Gather numDigits="1"/><Record action="/recorded"/>'}
    async with twiml_server(documents) as server, server.call() as call:
        await call.say("What was that?")
        await call.stay_silent()
        await call.attended()
        await call.say("This is Ann.")
        await call.hang_up()
    assert [text for _, text in said(server.events())] == ["What was that?", "This is Ann."]


async def test_an_engine_that_breaks_says_so_and_is_gone() -> None:
    robin = Person("answers", says=["Robin here."])
    async with twiml_server(HANDOFF) as server, server.call(robin) as call:
        await call.bridged()
        call.break_transcription(32655, "Provider unavailable")
        await call.reply()
        await call.reply()
        await call.say("Can you still hear me?")
    last = in_order(server.events())[-1]
    assert last["TranscriptionEvent"] == "transcription-error"
    assert (last["TranscriptionErrorCode"], last["TranscriptionError"]) == ("32655", "Provider unavailable")


async def test_an_unknown_engine_starts_nothing_and_the_call_goes_on() -> None:
    documents = {"/voice": f"{start(transcriptionEngine='whisper')}<Say>Hello.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        assert (await call.reply()).text == "Hello."
    assert server.events() == []
    assert any("32650" in problem for problem in call.problems)


async def test_callbacks_can_be_asked_for_with_get() -> None:
    documents = {"/voice": f"{start(statusCallbackMethod='GET')}<Say>Hello.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.over.wait()
    assert [asked.method for asked in server.asked] == ["POST", "GET", "GET", "GET"]
    assert said(server.events()) == [("outbound_track", "Hello.")]


# --- stopping ------------------------------------------------------------------------------------


async def test_stop_ends_exactly_the_one_it_names() -> None:
    second = start("second", statusCallbackUrl="https://voice.example.com/second")
    documents = {"/voice": f"{start()}{second}{stop()}<Say>Hello.</Say>{stop('second')}<Say>Bye.</Say>"}
    async with twiml_server(documents) as server, server.call() as call:
        await call.over.wait()
    assert said(server.events()) == []
    assert said(server.events("/second")) == [("outbound_track", "Hello.")]
    for path in ("/transcription", "/second"):
        assert server.events(path)[-1]["TranscriptionEvent"] == "transcription-stopped"


async def test_stopping_one_that_does_not_run_is_a_problem() -> None:
    async with twiml_server({"/voice": start() + stop("another")}) as server, server.call() as call:
        await call.over.wait()
    assert call.problems == [
        "<Stop><Transcription name='another'>: there is none of that name; running: <Transcription> handoff"
    ]


async def test_starting_the_same_name_twice_is_a_problem() -> None:
    async with twiml_server({"/voice": start() + start()}) as server, server.call() as call:
        await call.over.wait()
    assert "one of that name is running already" in call.problems[0]
    assert call.engine_overlaps == []


async def test_the_end_of_the_call_stops_it() -> None:
    async with twiml_server(HANDOFF) as server, server.call(Person("answers")) as call:
        await call.bridged()
        await call.hang_up()
    assert server.events()[-1]["TranscriptionEvent"] == "transcription-stopped"


# --- one engine at a time ------------------------------------------------------------------------


async def test_a_session_beside_a_transcription_is_an_overlap() -> None:
    async with twiml_server({"/voice": start() + relay()}) as server, server.call() as call:
        await call.reply()
    (overlap,) = call.engine_overlaps
    assert overlap.first == "<Transcription> handoff"
    assert overlap.second.startswith("<ConversationRelay> VX")
    assert [problem[:6] for problem in call.problems] == ["STT104"]


async def test_a_gather_of_speech_beside_a_transcription_is_an_overlap() -> None:
    gather = '<Gather input="speech" action="/dialled"/>'
    async with twiml_server({"/voice": start() + gather}) as server, server.call() as call:
        await call.say("Hello.")
    assert len(call.engine_overlaps) == 1


async def test_one_after_the_other_is_none() -> None:
    documents = {
        "/voice": relay(),
        "/ended": f"{start()}{DIAL}",
        "/dialled": stop() + relay("Me again.", "/over"),
        "/over": '<Gather input="speech dtmf" action="/end"><Say>And then?</Say></Gather>',
    }
    async with twiml_server(documents) as server, server.call(Person("busy")) as call:
        await call.reply()
        await call.say("bye")
        assert (await call.reply()).text == "Me again."
        assert (await call.ask("bye")).text == "And then?"
        await call.say("That is all.")
        await call.over.wait()
    assert call.engine_overlaps == []
    assert call.problems == []
    assert server.form("/end")["SpeechResult"] == "That is all."


# --- disorder ------------------------------------------------------------------------------------

MANY = {"/voice": start() + "".join(f"<Say>{number}</Say>" for number in range(20))}


async def sequence(callbacks: CallbackOrder, seed: int) -> list[int]:
    async with twiml_server(MANY, callbacks=callbacks, seed=seed) as server:
        async with server.call() as call:
            await call.over.wait()
        assert call.problems == []
        return [int(event["SequenceId"]) for event in server.events()]


async def test_callbacks_can_come_in_another_order() -> None:
    arrived = await sequence("shuffled", 1)
    assert sorted(arrived) == list(range(1, 23))
    assert arrived != sorted(arrived)
    assert arrived == await sequence("shuffled", 1)
    assert arrived != await sequence("shuffled", 2)


async def test_callbacks_can_come_twice() -> None:
    arrived = await sequence("doubled", 1)
    assert sorted(arrived) == sorted([*range(1, 23)] * 2)
    assert list(dict.fromkeys(arrived)) == list(range(1, 23))


async def test_callbacks_can_get_lost() -> None:
    arrived = await sequence("missing", 1)
    assert arrived == sorted(set(arrived))
    assert 5 < len(arrived) < 22


async def test_a_callback_that_is_refused_is_a_problem() -> None:
    url = "http://127.0.0.1:9/nobody"
    async with twiml_server({"/voice": start(statusCallbackUrl=url)}) as server, server.call() as call:
        await call.over.wait()
    assert len(call.problems) == 2
    assert "a callback was not taken: 11205" in call.problems[0]


# --- the conversation ----------------------------------------------------------------------------


async def test_what_is_said_goes_to_the_conversation_while_an_engine_writes_to_it() -> None:
    account = SandboxAccount(ACCOUNT, TOKEN)
    configuration = account.add_configuration()
    named = start(conversationConfiguration=configuration)
    documents = {
        "/voice": f"<Say>Before.</Say>{named}<Say>One moment.</Say>{DIAL}",
        "/dialled": f"{stop()}<Say>After.</Say>",
    }
    robin = Person("answers", says=["Robin here."])
    async with (
        serve(double_app(account)) as base_url,
        twiml_server(documents, twilio_base_url=base_url) as server,
        server.call(robin) as call,
    ):
        for _ in range(3):
            await call.reply()
        await call.say("It is about order 81.")
        await call.person_hangs_up()
        await call.over.wait()
    assert call.problems == []
    conversation = account.conversations[call.conversation_id or ""]
    written = [item["content"] for item in conversation.communications.values()]
    assert [content["text"] for content in written] == ["One moment.", "Robin here.", "It is about order 81."]
    assert {content["transcription"]["engine"] for content in written} == {"google:telephony"}


async def test_a_capture_rule_writes_down_a_call_that_no_engine_was_asked_for() -> None:
    account = SandboxAccount(ACCOUNT, TOKEN)
    rule = {"from": "*", "to": "+15550100001", "metadata": {"callType": "PSTN"}}
    account.add_configuration(channelSettings={"VOICE": {"captureRules": [rule]}})
    async with (
        serve(double_app(account)) as base_url,
        twiml_server({"/voice": DIAL}, twilio_base_url=base_url) as server,
        server.call(Person("answers", says=["Robin here."])) as call,
    ):
        await call.reply()
        await call.say("Hello Robin.")
    (conversation,) = account.conversations.values()
    texts = [item["content"]["text"] for item in conversation.communications.values()]
    assert texts == ["Robin here.", "Hello Robin."]


async def test_a_double_that_is_gone_is_a_problem_and_not_the_end_of_the_call() -> None:
    async with (
        twiml_server({"/voice": "<Say>Hello.</Say>"}, twilio_base_url="http://127.0.0.1:9") as server,
        server.call() as call,
    ):
        assert (await call.reply()).text == "Hello."
    assert "the conversation could not be written to" in call.problems[0]
