"""The conformance suite: a good backend passes every case, and there is none that cannot fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from websockets.asyncio.server import ServerConnection, serve

from support.relay_backend import ACCOUNT, END, ORIGIN, TOKEN, Fault, Frame, RelayBackend, is_known, nth
from support.rivals.conformance import put_into
from support.sandbox import sandbox
from voice_app.testing.conformance import (
    CASES,
    BackendAddress,
    CaseOutcome,
    CasePatience,
    CaseResult,
    ConformanceReport,
    Grade,
    Suite,
    chosen,
    junit,
    report_facts,
)

PATIENT: Final = CasePatience(reply=20, quiet=0.1, close=5, idle=0.3)
"""For a backend that does what it should."""
QUICK: Final = CasePatience(reply=0.4, quiet=0.1, close=0.4, idle=0.2)
"""For one that does not."""


async def played(
    backend: RelayBackend, *names: str, by_socket: bool = False, **changes: Any
) -> ConformanceReport:
    """How cases went with a backend."""
    async with backend.serving() as base_url:
        socket_url = f"{base_url.replace('http', 'ws')}/relay/any"
        address = BackendAddress(
            url=socket_url if by_socket else f"{base_url}/voice",
            is_webhook=not by_socket,
            origin=ORIGIN,
            auth_token=TOKEN,
            account_sid=ACCOUNT,
        )
        suite = Suite(cases=chosen(names), end_say=END, patience=PATIENT, parallel=20)
        return await replace(suite, **changes).run(address)


def not_passed(report: ConformanceReport) -> dict[str, str]:
    """The cases that did not pass, with what was seen."""
    return {
        result.case.name: result.detail for result in report.results if result.outcome is not CaseOutcome.PASS
    }


async def test_a_backend_that_does_everything_right_passes_every_case() -> None:
    report = await played(RelayBackend(Fault()))
    assert not_passed(report) == {}
    assert len(report.results) == len(CASES)


async def test_what_needs_the_webhook_is_skipped_where_the_socket_alone_is_known() -> None:
    report = await played(RelayBackend(Fault()), by_socket=True)
    skipped = {result.case.name for result in report.results if result.outcome is CaseOutcome.SKIP}
    assert skipped == {name for name, case in CASES.items() if "webhook" in " ".join(case.needs)}
    assert set(not_passed(report)) == skipped


async def test_this_server_passes_every_case(tmp_path: Path) -> None:
    async with sandbox(
        tmp_path, agent="support.agents:conformant", silence_seconds=0, reconnect=True
    ) as server:
        address = BackendAddress(
            url=f"{server.base_url}/voice",
            is_webhook=True,
            origin=server.settings.origin,
            auth_token=server.network.auth_token,
            account_sid=server.phone.account_sid,
        )
        report = await Suite(end_say=END, patience=PATIENT, parallel=20).run(address)
    assert not_passed(report) == {}


# --- each case can fail --------------------------------------------------------------------------


def a(kind: str, **fields: Any) -> Callable[[Frame], bool]:
    """Frames of a type in which fields have these values."""
    return lambda frame: frame["type"] == kind and all(frame.get(name) == fields[name] for name in fields)


def saying(part: str) -> Callable[[Frame], bool]:
    return lambda frame: frame["type"] == "prompt" and part in frame["voicePrompt"]


def longer_than(characters: int) -> Callable[[Frame], bool]:
    return lambda frame: frame["type"] == "prompt" and len(frame["voicePrompt"]) > characters


def having(kind: str, field: str) -> Callable[[Frame], bool]:
    return lambda frame: frame["type"] == kind and field in frame


def each(**changes: Any) -> Callable[[list[dict[str, Any]]], list[Any]]:
    """A reply in whose frames fields are changed."""
    return lambda frames: [frame | changes for frame in frames]


def in_one(frames: list[dict[str, Any]]) -> list[Any]:
    return [{"type": "text", "token": "".join(frame["token"] for frame in frames), "last": True}]


def answered_with(status: int, **fields: str) -> Callable[[Frame], int]:
    """This status where a form has these values."""
    return lambda form: status if fields.items() <= form.items() else 200


def deaf(case_frame: Callable[[Frame], bool]) -> Fault:
    return Fault(deaf_to=case_frame)


def broken(case_frame: Callable[[Frame], bool]) -> Fault:
    return Fault(breaks_on=case_frame)


CRASHES = Fault(kind="crashes")
UNCHECKED = Fault(kind="checks nothing")
NO_CLOSE = Fault(kind="no close")
IDLE_INTERRUPT = Fault(kind="breaks on idle interrupt")

FAULTS: Final[dict[str, Callable[[], Fault]]] = {
    "handshake": lambda: Fault(kind="no socket"),
    "handshake-with-compression": lambda: Fault(kind="no compression"),
    "first-word-is-twilios": lambda: Fault(kind="talks first"),
    "setup-inbound": lambda: broken(a("setup", callerName="")),
    "setup-outbound": lambda: deaf(a("setup", direction="outbound-api")),
    "setup-sip": lambda: broken(a("setup", callType="SIP")),
    "setup-client": lambda: broken(a("setup", callType="CLIENT")),
    "setup-anonymous": lambda: broken(lambda frame: not frame.get("from", "+").startswith("+")),
    "setup-names": lambda: broken(lambda frame: bool(frame.get("callerName"))),
    "setup-parameters": lambda: broken(lambda frame: bool(frame.get("customParameters"))),
    "setup-new-fields": lambda: broken(having("setup", "tomorrow")),
    "setup-nulls": lambda: broken(a("setup", callerName=None)),
    "setup-without-parameters": lambda: broken(
        lambda frame: frame["type"] == "setup" and "customParameters" not in frame
    ),
    "setup-and-prompt-at-once": lambda: deaf(nth(1, "prompt")),
    "setup-twice": lambda: broken(nth(2, "setup")),
    "second-session": lambda: broken(a("setup", callStatus="IN_PROGRESS")),
    "reconnect": lambda: Fault(kind="one socket"),
    "reconnect-without-setup": lambda: Fault(kind="forgets"),
    "two-calls-at-once": lambda: Fault(kind="one call"),
    "prompt": lambda: deaf(a("prompt")),
    "prompt-primary-language": lambda: broken(a("prompt", lang="en")),
    "prompt-other-language": lambda: deaf(a("prompt", lang="es-ES")),
    "prompt-unicode": lambda: broken(saying("你好")),
    "prompt-markup": lambda: broken(saying("<Response/>")),
    "prompt-long": lambda: broken(longer_than(1_000)),
    "prompt-very-long": lambda: broken(longer_than(50_000)),
    "prompt-new-fields": lambda: broken(having("prompt", "turnState")),
    "prompt-without-language": lambda: broken(a("prompt", lang="")),
    "prompt-again": lambda: Fault(kind="answers once"),
    "ten-turns": lambda: deaf(nth(10, "prompt")),
    "prompt-while-answering": lambda: Fault(kind="breaks while speaking"),
    "prompts-in-a-burst": lambda: Fault(kind="breaks while speaking"),
    "partial-prompts": lambda: Fault(answers=a("prompt", last=False)),
    "partial-then-final": lambda: Fault(kind="answers once"),
    "prompt-blank": lambda: Fault(answers=a("prompt", voicePrompt="")),
    "frames-are-text": lambda: Fault(reply=lambda frames: [b'{"type":"text","token":"Hello.","last":true}']),
    "frames-are-objects": lambda: Fault(reply=lambda frames: [{"type": "mark"}, *frames]),
    "frames-are-valid": lambda: Fault(reply=lambda frames: [{"type": "text", "token": None}, *frames]),
    "frames-have-no-other-fields": lambda: Fault(reply=each(confidence=1)),
    "reply-is-closed": lambda: Fault(reply=each(last=False)),
    "tokens-keep-spaces": lambda: Fault(
        reply=lambda frames: [frame | {"token": frame["token"].strip()} for frame in frames]
    ),
    "reply-can-be-spoken": lambda: Fault(reply=lambda frames: [frames[0] | {"token": "**So** "}, *frames]),
    "reply-streams": lambda: Fault(reply=in_one),
    "silent-after-reply": lambda: Fault(kind="closes after a reply"),
    "interrupt-stops-the-reply": lambda: Fault(kind="talks on"),
    "interrupt-then-prompt": lambda: broken(a("interrupt")),
    "interrupt-heard-nothing": lambda: broken(a("interrupt", utteranceUntilInterrupt="")),
    "interrupt-with-other-words": lambda: broken(
        lambda frame: "Welcome" in frame.get("utteranceUntilInterrupt", "")
    ),
    "interrupt-duration-as-text": lambda: broken(a("interrupt", durationUntilInterruptMs="460")),
    "interrupt-new-fields": lambda: broken(having("interrupt", "reason")),
    "interrupt-and-prompt-at-once": lambda: deaf(nth(2, "prompt")),
    "interrupt-first": lambda: IDLE_INTERRUPT,
    "interrupt-after-last": lambda: IDLE_INTERRUPT,
    "interrupt-twice": lambda: broken(nth(2, "interrupt")),
    "interrupt-each-turn": lambda: broken(nth(4, "interrupt")),
    "info-agent-speaking": lambda: Fault(answers=a("info", name="agentSpeaking")),
    "info-client-speaking": lambda: Fault(answers=a("info", name="clientSpeaking")),
    "info-tokens-played": lambda: Fault(answers=a("info", name="tokensPlayed")),
    "info-round-trip": lambda: broken(a("info", name="roundTripDelayMs")),
    "info-with-a-time": lambda: broken(having("info", "ts")),
    "info-unknown": lambda: broken(a("info", name="somethingNew")),
    "info-config-updated": lambda: broken(lambda frame: isinstance(frame.get("value"), dict)),
    "error-frame": lambda: broken(a("error")),
    "unknown-type": lambda: broken(lambda frame: not is_known(frame)),
    "key-first": lambda: broken(a("dtmf", digit="1")),
    "keys-in-a-row": lambda: broken(a("dtmf", digit="#")),
    "key-star": lambda: broken(a("dtmf", digit="*")),
    "key-during-reply": lambda: broken(a("dtmf", digit="5")),
    "not-json": lambda: CRASHES,
    "no-message": lambda: CRASHES,
    "json-array": lambda: CRASHES,
    "json-null": lambda: CRASHES,
    "no-type": lambda: CRASHES,
    "type-is-a-number": lambda: CRASHES,
    "prompt-without-words": lambda: CRASHES,
    "prompt-of-a-number": lambda: CRASHES,
    "key-without-digit": lambda: CRASHES,
    "interrupt-without-fields": lambda: broken(a("interrupt")),
    "deep-nesting": lambda: CRASHES,
    "binary-message": lambda: CRASHES,
    "not-utf-8": lambda: Fault(kind="any bytes"),
    "malformed-without-end": lambda: CRASHES,
    "prompt-before-setup": lambda: Fault(kind="needs no setup"),
    "next-call-after-all-that": lambda: Fault(kind="dies with a call"),
    "hang-up": lambda: NO_CLOSE,
    "hang-up-during-reply": lambda: NO_CLOSE,
    "hang-up-at-once": lambda: NO_CLOSE,
    "ping": lambda: Fault(kind="no pong"),
    "silence": lambda: Fault(kind="impatient"),
    "end": lambda: Fault(end=lambda frame: [frame | {"reason": "asked"}]),
    "nothing-after-end": lambda: Fault(end=lambda frame: [frame, {"type": "text", "token": "Bye."}]),
    "handoff-data-is-json": lambda: Fault(end=lambda frame: [frame | {"handoffData": "asked"}]),
    "twiml": lambda: Fault(twiml=lambda text: text.replace('"wss:', '"https:')),
    "twiml-is-all-read": lambda: Fault(
        twiml=lambda text: text.replace("<Connect ", '<Connect greeting="1" ')
    ),
    "webhook-with-new-fields": lambda: Fault(voice_status=answered_with(500, Tomorrow="1")),
    "action": lambda: Fault(twiml=lambda text: text.replace(' action="/ended"', "")),
    "action-after-hang-up": lambda: Fault(action_status=answered_with(500, SessionStatus="completed")),
    "action-after-end": lambda: Fault(action_status=answered_with(500, SessionStatus="ended")),
    "action-with-strange-handoff": lambda: Fault(
        action_status=lambda form: 500 if "HandoffData" in form else 200
    ),
    "action-after-loss": lambda: Fault(kind="gives calls up"),
    "socket-unsigned": lambda: UNCHECKED,
    "socket-forged": lambda: UNCHECKED,
    "socket-signed-for-another": lambda: UNCHECKED,
    "socket-of-another-call": lambda: Fault(kind="takes any setup"),
    "socket-of-another-account": lambda: Fault(kind="takes any setup"),
    "webhook-unsigned": lambda: UNCHECKED,
    "webhook-forged": lambda: UNCHECKED,
    "webhook-altered": lambda: UNCHECKED,
    "webhook-blank-fields": lambda: Fault(kind="drops blank fields"),
}
"""For each case a fault that it has to find; the others are of no account here."""
ELSEWHERE: Final = {"prompt-in-fragments"}


def test_there_is_a_fault_for_every_case() -> None:
    assert FAULTS.keys() | ELSEWHERE == CASES.keys()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_case_finds_the_fault_that_it_is_there_for(name: str) -> None:
    report = await played(RelayBackend(FAULTS[name]()), name, patience=QUICK)
    (result,) = report.results
    assert result.outcome is (CaseOutcome.FAIL if CASES[name].grade is Grade.RULE else CaseOutcome.WARN)
    assert result.detail
    assert result.detail.isprintable()


async def test_a_server_that_takes_fragments_for_messages_is_found() -> None:
    async def talk(socket: ServerConnection) -> None:
        while True:
            pieces = [piece async for piece in socket.recv_streaming()]
            if len(pieces) == 1 and json.loads(pieces[0])["type"] == "prompt":
                await socket.send('{"type":"text","token":"Hello.","last":true}')

    async with serve(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        address = BackendAddress(url=f"ws://127.0.0.1:{port}")
        suite = Suite(cases=chosen(["prompt", "prompt-in-fragments"]), patience=QUICK)
        report = await suite.run(address)
    assert [result.outcome for result in report.results] == [CaseOutcome.PASS, CaseOutcome.FAIL]


# --- the runner and its reports ------------------------------------------------------------------


async def test_a_case_that_takes_too_long_is_ended() -> None:
    slow = replace(PATIENT, reply=60)
    report = await played(RelayBackend(deaf(a("prompt"))), "prompt", patience=slow, case_seconds=0.2)
    assert not_passed(report) == {"prompt": "it was not over after 0.2 s"}


async def test_what_only_warns_fails_where_it_is_asked_to() -> None:
    report = await played(RelayBackend(Fault(reply=in_one)), "reply-streams", "prompt")
    assert report.counts == {CaseOutcome.PASS: 1, CaseOutcome.WARN: 1}
    assert not report.fails()
    assert report.fails(strict=True)


async def test_each_result_is_told_as_it_is_there() -> None:
    told: list[CaseResult] = []
    report = await played(RelayBackend(Fault()), "interrupt-*", told=told.append)
    assert len(told) == len(report.results) > 5
    assert all(result.case.name.startswith("interrupt-") for result in told)


async def test_the_reports_for_programs_and_for_ci_say_the_same() -> None:
    backend = RelayBackend(Fault(kind="checks nothing", answers=a("prompt", voicePrompt="")))
    report = await played(
        backend, "socket-unsigned", "prompt", "prompt-blank", "end", end_say="", patience=QUICK
    )
    facts = {case["name"]: case for case in report_facts(report)["cases"]}
    assert {name: str(facts[name]["outcome"]) for name in facts} == {
        "prompt": "pass",
        "prompt-blank": "warn",
        "end": "skip",
        "socket-unsigned": "fail",
    }
    suite = ElementTree.fromstring(junit(report))
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["4", "1", "1"]
    failure = suite.find("testcase[@name='socket-unsigned']/failure")
    assert failure is not None
    assert failure.get("message") == "the socket was opened"
    assert facts["socket-unsigned"]["heard"] in (failure.text or "")


def test_every_case_names_a_section_that_there_is() -> None:
    page = (Path(__file__).parents[2] / "voice_app/docs/protocol.md").read_text("utf-8")
    for case in CASES.values():
        assert "§" in case.source, case.name
        for part in case.source.split("; "):
            if part.startswith("§"):
                section = part[1:].split()[0].rstrip(":")
                whole, _, item = section.partition(".")
                places = [f"### {section} ", f"## {whole}. "] if item else [f"## {whole}. "]
                assert any(place in page for place in places), (case.name, part)


async def test_results_take_the_place_that_a_page_has_for_them() -> None:
    report = await played(RelayBackend(Fault(answers=a("prompt", last=False))), "prompt", "partial-prompts")
    before = (
        "# A page\n\n<!-- results: scripts/conformance --page -->\nyesterday\n<!-- end of results -->\nend\n"
    )
    page = put_into(before, "scripts/conformance", {"mine": report, "again": report})
    assert "yesterday" not in page
    assert page.endswith("\n<!-- end of results -->\nend\n")
    assert "- mine: 2 cases: 1 pass, 1 fail, 0 warn, 0 skip." in page
    assert page.count("| **fail** | **fail** |") == page.count("| pass | pass |") == 1
    assert put_into(page, "scripts/conformance", {"mine": report}).count("**fail**") == 1
    with pytest.raises(ValueError, match="no lines"):
        put_into("# A page", "", {})


def test_the_page_has_the_results_of_every_case_and_this_server_passes() -> None:
    page = (Path(__file__).parents[2] / "voice_app/docs/conformance.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == list(CASES), "run: scripts/conformance --page"
    for row, case in zip(rows, CASES.values(), strict=True):
        assert row[1:3] == [case.sends, case.holds], "run: scripts/conformance --page"
        assert row[4] in ("pass", "–"), case.name
