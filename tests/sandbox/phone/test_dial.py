"""``<Dial>`` on the sandbox's phone: who is rung, what they hear, and what the action is asked with."""

from __future__ import annotations

import re

import pytest

from support.twiml_server import ORIGIN, TwimlServer, twiml_server
from voice_app.sandbox.phone import CallOverError, Person, PhoneCall

ROBIN, ALEX = "+15550100011", "+15550100012"
SCREENING = (
    '<Gather numDigits="1"><Say>Ann calls about a refund. Press 1 to take the call.</Say></Gather>'
    "<Say>Nobody is there.</Say><Hangup/>"
)
ACCEPTED = "<Say>You are connected.</Say>"


def dial(*nouns: str, **attributes: str) -> dict[str, str]:
    written = "".join(f' {name}="{value}"' for name, value in ({"action": "/dialled"} | attributes).items())
    return {
        "/voice": f"<Dial{written}>{''.join(nouns)}</Dial><Say>The verb after it.</Say>",
        "/dialled": "<Say>Nobody could come. Goodbye.</Say>",
        "/screen": SCREENING.replace("<Gather", '<Gather action="/screened"'),
        "/screened": ACCEPTED,
        "/plain": "<Say>Ann calls about a refund.</Say>",
    }


def number(address: str = ROBIN, **attributes: str) -> str:
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<Number{written}>{address}</Number>"


async def over(call: PhoneCall) -> None:
    await call.over.wait()


async def outcome(server: TwimlServer, *people: Person) -> dict[str, str]:
    """What the action is asked with when nobody does anything."""
    async with server.call(*people) as call:
        await over(call)
    assert call.problems == []
    assert call.engine_overlaps == []
    return server.form("/dialled")


@pytest.mark.parametrize("kind", ["busy", "no-answer"])
async def test_who_does_not_pick_up_is_the_status_of_the_dial(kind: str) -> None:
    async with twiml_server(dial(number())) as server, server.call(Person(kind)) as call:  # type: ignore[arg-type]
        assert (await call.reply()).text == "Nobody could come. Goodbye."
        await over(call)
    form = server.form("/dialled")
    assert form["DialCallStatus"] == kind
    assert form["DialBridged"] == "false"
    assert form["CallStatus"] == "in-progress"
    assert re.fullmatch("CA[0-9a-f]{32}", form["DialCallSid"])
    assert "DialCallDuration" not in form


async def test_who_declines_a_ringing_phone_is_busy() -> None:
    async with twiml_server(dial(number())) as server:
        assert (await outcome(server, Person("declines")))["DialCallStatus"] == "busy"


async def test_behind_the_last_person_nobody_answers() -> None:
    async with twiml_server(dial(number())) as server:
        assert (await outcome(server))["DialCallStatus"] == "no-answer"


async def test_a_phone_that_is_rung_too_shortly_is_not_answered() -> None:
    async with twiml_server(dial(number(), timeout="2")) as server:
        assert (await outcome(server, Person("answers")))["DialCallStatus"] == "no-answer"


async def test_the_two_hear_each_other_until_the_person_hangs_up() -> None:
    robin = Person("answers", says=["Robin here.", "I see it, thank you."])
    async with twiml_server(dial(number())) as server, server.call(robin) as call:
        await call.bridged()
        assert (await call.reply()).text == "Robin here."
        assert (await call.ask("It is about order 81.")).text == "I see it, thank you."
        await call.person_says("It is on its way.")
        assert (await call.reply()).text == "It is on its way."
        await call.person_hangs_up()
        assert (await call.reply()).text == "Nobody could come. Goodbye."
    assert robin.heard == ["It is about order 81."]
    form = server.form("/dialled")
    assert (form["DialCallStatus"], form["DialBridged"]) == ("completed", "true")
    assert form["DialCallDuration"].isdecimal()
    assert call.problems == []


async def test_without_an_action_the_next_verb_runs() -> None:
    documents = dial(number())
    documents["/voice"] = documents["/voice"].replace(' action="/dialled"', "")
    async with twiml_server(documents) as server, server.call(Person("busy")) as call:
        assert (await call.reply()).text == "The verb after it."


async def test_a_caller_who_hangs_up_on_a_person_ends_the_dial() -> None:
    async with twiml_server(dial(number())) as server, server.call(Person("answers")) as call:
        await call.bridged()
        await call.hang_up()
    form = server.form("/dialled")
    assert (form["DialCallStatus"], form["DialBridged"], form["CallStatus"]) == (
        "completed",
        "true",
        "completed",
    )
    assert call.replies == []


async def test_a_caller_who_hangs_up_while_it_rings_cancels_it() -> None:
    nouns = number(statusCallback="/leg", statusCallbackEvent="ringing completed")
    async with twiml_server(dial(nouns, timeout="600")) as server, server.call(Person("no-answer")) as call:
        await server.until_asked("/leg")
        await call.hang_up()
    form = server.form("/dialled")
    assert (form["DialCallStatus"], form["CallStatus"]) == ("canceled", "completed")
    assert [leg["CallStatus"] for leg in server.forms("/leg")] == ["ringing", "canceled"]


# --- screening -----------------------------------------------------------------------------------


async def test_a_person_hears_the_whisper_and_accepts_with_a_key() -> None:
    robin = Person("answers", says=["Hello Ann."])
    async with twiml_server(dial(number(url="/screen"))) as server, server.call(robin) as call:
        await call.bridged()
        assert (await call.reply()).text == "Hello Ann."
    assert robin.heard == ["Ann calls about a refund. Press 1 to take the call.", "You are connected."]
    assert len(robin.documents) == 2
    assert len(call.documents) == 2
    whisper, key = server.form("/screen"), server.form("/screened")
    assert key["Digits"] == "1"
    assert whisper["CallSid"] == key["CallSid"] == server.form("/dialled")["DialCallSid"] != call.sid
    assert whisper["ParentCallSid"] == call.sid
    assert (whisper["Direction"], whisper["CallStatus"]) == ("outbound-dial", "in-progress")
    assert (whisper["From"], whisper["To"]) == (server.phone.caller, ROBIN)
    assert "Ann calls" not in " ".join(reply.text for reply in call.replies)


async def test_a_voicemail_box_answers_but_never_accepts() -> None:
    box = Person("voicemail")
    async with twiml_server(dial(number(url="/screen"))) as server:
        form = await outcome(server, box)
    assert (form["DialCallStatus"], form["DialBridged"]) == ("completed", "false")
    assert box.heard == ["Ann calls about a refund. Press 1 to take the call.", "Nobody is there."]
    assert server.forms("/screened") == []


async def test_a_voicemail_box_that_is_not_screened_is_connected() -> None:
    async with twiml_server(dial(number())) as server, server.call(Person("voicemail")) as call:
        assert "leave a message" in (await call.reply()).text
    assert server.form("/dialled")["DialBridged"] == "true"


async def test_a_whisper_that_merely_ends_connects() -> None:
    async with twiml_server(dial(number(url="/plain"))) as server, server.call(Person("voicemail")) as call:
        await call.bridged()


@pytest.mark.parametrize("whisper", ["/screen", "/plain"])
async def test_a_person_who_hangs_up_on_the_whisper_is_not_connected(whisper: str) -> None:
    async with twiml_server(dial(number(url=whisper))) as server:
        form = await outcome(server, Person("declines"))
    assert (form["DialCallStatus"], form["DialBridged"]) == ("completed", "false")


async def test_another_key_than_the_one_asked_for_goes_to_the_server_too() -> None:
    documents = dial(number(url="/screen")) | {"/screened": "<Hangup/>"}
    async with twiml_server(documents) as server:
        form = await outcome(server, Person("declines", presses="2"))
    assert server.form("/screened")["Digits"] == "2"
    assert form["DialBridged"] == "false"


async def test_a_caller_who_hangs_up_during_the_whisper_is_not_connected() -> None:
    documents = dial(number(url="/screen")) | {"/screened": '<Pause length="60"/>'}
    async with twiml_server(documents) as server, server.call(Person("answers")) as call:
        await server.until_asked("/screened")
        await call.hang_up()
    form = server.form("/dialled")
    assert (form["DialCallStatus"], form["DialBridged"]) == ("completed", "false")


async def test_dialling_is_not_allowed_in_a_whisper() -> None:
    documents = dial(number(url="/screen")) | {"/screen": f"<Dial>{ALEX}</Dial>"}
    async with twiml_server(documents) as server, server.call(Person("answers")) as call:
        await call.bridged()
    assert call.problems == ["<Dial> may not run on a leg that is dialled; it went on to the next verb"]


async def test_a_whisper_that_cannot_be_had_hangs_up_the_leg() -> None:
    documents = dial(number(url="/screen")) | {"/screen": "<Nonsense/>"}
    async with twiml_server(documents) as server, server.call(Person("answers")) as call:
        await over(call)
    assert server.form("/dialled")["DialBridged"] == "false"
    assert "the whisper cannot be used" in call.problems[0]


# --- several -------------------------------------------------------------------------------------


async def test_of_several_that_ring_at_once_the_first_to_pick_up_is_connected() -> None:
    nouns = [number(ROBIN, statusCallback="/robin"), number(ALEX, statusCallback="/alex")]
    box, alex = Person("voicemail"), Person("answers", says=["Alex here."])
    async with twiml_server(dial(*nouns)) as server, server.call(box, alex) as call:
        assert (await call.reply()).text == "Alex here."
    assert server.form("/robin")["CallStatus"] == "canceled"
    assert server.form("/alex")["CallStatus"] == "completed"
    assert server.form("/dialled")["DialCallSid"] == server.form("/alex")["CallSid"]


async def test_one_after_another_each_has_the_whole_time() -> None:
    nouns = [number(ROBIN, statusCallback="/robin"), number(ALEX)]
    alex = Person("answers", says=["Alex here."])
    async with (
        twiml_server(dial(*nouns, sequential="true", timeout="10")) as server,
        server.call(Person("no-answer"), alex) as call,
    ):
        assert (await call.reply()).text == "Alex here."
    assert server.form("/robin")["CallStatus"] == "no-answer"


async def test_a_call_can_end_by_its_time_limit() -> None:
    async with twiml_server(dial(number(), timeLimit="30")) as server, server.call(Person("answers")) as call:
        assert (await call.reply()).text == "Nobody could come. Goodbye."
    assert server.form("/dialled")["DialBridged"] == "true"


async def test_a_star_hangs_up_the_person_where_that_is_wanted() -> None:
    async with (
        twiml_server(dial(number(), hangupOnStar="true")) as server,
        server.call(Person("answers")) as call,
    ):
        await call.bridged()
        await call.press("1*")
        assert (await call.reply()).text == "Nobody could come. Goodbye."


# --- who can be dialled, and as whom -------------------------------------------------------------


@pytest.mark.parametrize(
    ("noun", "address"),
    [
        ("<Sip>sip:desk@example.com</Sip>", "sip:desk@example.com"),
        ("<Client>robin</Client>", "client:robin"),
        ("<Client><Identity>robin</Identity></Client>", "client:robin"),
        (ROBIN, ROBIN),
        ("<Queue url='/plain'>support</Queue>", "queue:support"),
    ],
)
async def test_other_nouns_ring_as_well(noun: str, address: str) -> None:
    rung: list[str] = []

    async with (
        twiml_server(dial(noun)) as server,
        server.call(
            Person("answers"), watch=lambda event: rung.append(event.text) if event.kind == "rings" else None
        ) as call,
    ):
        await call.bridged()
    assert rung == [address]
    assert call.problems == []


@pytest.mark.parametrize(
    "noun", ["<Number>desk</Number>", "<Sip>desk@example.com</Sip>", "<Number>015550100011</Number>"]
)
async def test_an_address_that_is_none_fails(noun: str) -> None:
    async with twiml_server(dial(noun)) as server, server.call(Person("answers")) as call:
        await over(call)
    assert server.form("/dialled")["DialCallStatus"] == "failed"
    assert len(call.problems) == 1
    assert call.people[0].heard == []


@pytest.mark.parametrize(
    ("caller_id", "status"),
    [("+15550100001", "busy"), ("+15550199999", "busy"), ("+15550100777", "busy"), (ALEX, "failed")],
)
async def test_a_caller_id_must_be_a_number_of_the_call_or_of_the_account(
    caller_id: str, status: str
) -> None:
    async with (
        twiml_server(dial(number(statusCallback="/leg"), callerId=caller_id), verified=["+15550100777"]) as s,
        s.call(Person("busy")) as call,
    ):
        await over(call)
    assert s.form("/dialled")["DialCallStatus"] == status
    assert [form["From"] for form in s.forms("/leg")] == ([caller_id] if status == "busy" else [])
    assert len(call.problems) == (status == "failed")


async def test_the_caller_hears_ringing_until_the_call_is_answered_on_the_bridge() -> None:
    async with (
        twiml_server(dial(number(url="/screen"), answerOnBridge="true")) as server,
        server.call(Person("busy")) as call,
    ):
        assert call.status == "ringing"
        await over(call)
    assert server.form("/dialled")["CallStatus"] == "ringing"


async def test_a_conference_ends_when_the_one_who_joined_leaves() -> None:
    noun = (
        '<Conference statusCallback="/room" statusCallbackEvent="start end join leave" waitUrl="/wait">'
        "transfer</Conference>"
    )
    documents = dial(noun) | {"/wait": "<Say>Please hold.</Say>"}
    robin = Person("answers", says=["Hello."])
    async with twiml_server(documents) as server, server.call(robin) as call:
        await call.bridged()
        await call.person_hangs_up()
        await over(call)
    form = server.form("/dialled")
    assert form["DialCallStatus"] == "answered"
    assert "DialCallSid" not in form
    assert "DialCallDuration" not in form
    assert [event["StatusCallbackEvent"] for event in server.forms("/room")] == [
        "participant-join",
        "conference-start",
        "participant-leave",
        "conference-end",
    ]
    assert server.forms("/wait")


async def test_answers_and_progress_of_a_leg_are_told_to_who_subscribed() -> None:
    nouns = number(
        statusCallback=f"{ORIGIN}/leg",
        statusCallbackEvent="initiated ringing answered completed",
        machineDetection="Enable",
        amdStatusCallback="/amd",
    )
    async with twiml_server(dial(nouns)) as server, server.call(Person("voicemail")) as call:
        await call.bridged()
        await call.hang_up()
    legs = server.forms("/leg")
    assert [leg["CallStatus"] for leg in legs] == ["initiated", "ringing", "in-progress", "completed"]
    assert [leg["SequenceNumber"] for leg in legs] == ["0", "1", "2", "3"]
    assert "CallDuration" in legs[-1]
    assert server.form("/amd")["AnsweredBy"] == "machine_start"


async def test_nobody_is_bridged_on_a_call_that_is_over() -> None:
    async with twiml_server({"/voice": "<Hangup/>"}) as server, server.call() as call:
        with pytest.raises(CallOverError):
            await call.bridged()
