"""Lines of the log: one an entry, bound to their call, and without what was said, numbers and secrets."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from support.model import Answer, ScriptedModel
from support.sandbox import happened, sandbox
from support.visitors import PASSWORD, ROLES, browser, key_of, sign_in, users_file
from support.waiting import until
from voice_app import Call, Piece, Turn
from voice_app.journal.events import FollowedUp
from voice_app.runtime import budget
from voice_app.sandbox.phone import Person
from voice_app.telemetry import DETAIL, configure_logging
from voice_app.telemetry.log_format import MAX_EVENT, escaped, masked, safe
from voice_app.telemetry.scope import about

log = logging.getLogger("voice_app.test")
OURS, CALLER, COLLEAGUE = "+15550104711", "+15550199822", "+15550103377"
NUMBERS: Final = (OURS[1:], CALLER[1:], COLLEAGUE[1:], "555-010-4711", "5550199822")
WORDS: Final = ("Quetzalcoatl", "Wolpertinger", "Xylophone", "Zephyrine", "Rumpelstilzchen", "Ohrwurm")
SECRETS: Final = ("sk-canary-of-the-model", "canary-of-the-api-token", "canary-of-the-headers")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logged(
    monkeypatch: pytest.MonkeyPatch,
    form: Literal["auto", "text", "json"] = "text",
    level: str = "info",
    *,
    details: bool = False,
    terminal: bool = False,
) -> io.StringIO:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(level, form, details=details)
    return stream


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("from +15550104711 to sip:x", "from …11 to sip:x"),
        ("whatsapp:+1 (555) 010-4711.", "whatsapp:…11."),
        ("From=%2B15550104711&To=x", "From=…11&To=x"),
        ("call 555-010-4711 or (555) 010-4711", "call …11 or …11"),
        ("the card 4111111111111111", "the card …11"),
        ("CA12345678901234567890123456789012: 12345 ms", "CA12345678901234567890123456789012: 12345 ms"),
        ("2026-11-29T02:12:04.123456789Z", "2026-11-29T02:12:04.123456789Z"),
        ("http://127.0.0.1:43117/v1 answers 503", "http://127.0.0.1:43117/v1 answers 503"),
        ("pid 4194304 wrote 12345678 bytes", "pid 4194304 wrote 12345678 bytes"),
        ("conv_configuration_00000000000000000000000001", "conv_configuration_00000000000000000000000001"),
    ],
)
def test_of_a_phone_number_two_digits_are_left(text: str, shown: str) -> None:
    assert masked(text) == shown


@given(st.text())
def test_whatever_is_logged_is_one_line_that_steers_no_terminal(text: str) -> None:
    found = safe(text)
    assert len(found.splitlines()) <= 1
    assert not re.search("[\x00-\x1f\x7f-\x9f]", found)
    assert escaped(escaped(text)) == escaped(text)


def test_no_line_can_be_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = "x\n2026-11-29T02:00:00.000Z ERROR voice_app: all is lost\x1b[2J"
    forms: tuple[Literal["text", "json"], ...] = ("text", "json")
    for form in forms:
        stream = logged(monkeypatch, form)
        log.warning("refused: %s", forged)
        assert stream.getvalue().count("\n") == 1
        assert "\x1b" not in stream.getvalue()


def test_a_long_value_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch)
    log.warning("the header is %s", "x" * 100_000)
    assert len(stream.getvalue()) < MAX_EVENT + 200
    assert "100014 characters" in stream.getvalue()


def test_a_line_on_a_terminal_is_for_people_and_in_a_file_it_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, "auto", terminal=True)
    with about("CA1") as scope:
        scope.session_id = "VX1"
        log.info("call CA1: hello")
    line = stream.getvalue()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO voice_app\.test: call CA1: hello \[session VX1\]\n",
        line,
    )
    stream = logged(monkeypatch, "auto")
    with about("CA1"):
        log.warning("Grüße an %s", "alle")
    entry = json.loads(stream.getvalue())
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "level": "warning", "logger": "voice_app.test", "event": "Grüße an alle", "call": "CA1",
    }  # fmt: skip


def test_what_an_exception_says_is_left_out_unless_details_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        try:
            raise ValueError(f"the caller said {WORDS[1]}")
        except ValueError as error:
            raise ExceptionGroup(WORDS[2], [KeyError(WORDS[3])]) from error

    shown = {}
    for details in (False, True):
        stream = logged(monkeypatch, level="debug", details=details)
        try:
            fail()
        except ExceptionGroup:
            log.exception("the agent failed")
        log.debug("the endpoint says: %s", "Ohrwurm", extra=DETAIL)
        shown[details] = stream.getvalue()
    assert not [word for word in WORDS if word in shown[False]]
    assert all(word in shown[True] for word in ("Wolpertinger", "Xylophone", "Zephyrine", "Ohrwurm"))
    for text in shown.values():
        assert "ValueError" in text
        assert "KeyError" in text
        assert "in fail" in text
        assert all(line.startswith("  | ") for line in text.splitlines()[1:] if not line[:4].isdigit())


def test_details_count_at_debug_only(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, level="info", details=True)
    log.warning("the endpoint says: %s", "Ohrwurm", extra=DETAIL)
    assert stream.getvalue() == ""


# --- a whole run ----------------------------------------------------------------------------------


async def raising(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """An agent whose failure repeats what was said."""
    yield "Ohrwurm. "
    raise ValueError(f"cannot understand {turn.text} of {call.from_}")


@pytest.mark.parametrize("form", ["text", "json"])
async def test_in_a_whole_run_at_debug_nothing_is_said(
    tmp_path: Path, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, form: Literal["text", "json"]
) -> None:
    stream = logged(monkeypatch, form, level="debug")
    said, name, failed = WORDS[0], WORDS[1], WORDS[2]
    refused = {"error": {"message": f"cannot read {said} {CALLER}", "code": "bad_request"}}
    common: dict[str, Any] = {
        "phone_number": OURS,
        "handoff_to": (COLLEAGUE,),
        "api_token": SecretStr(SECRETS[1]),
        "log_level": "debug",
    }
    arguments = json.dumps({"reason": "billing", "summary": f"{name} wants {WORDS[3]}"})
    chat: dict[str, Any] = {
        "agent": "chat", "model": "test", "openai_base_url": model.base_url,
        "openai_api_key": SecretStr(SECRETS[0]), "model_headers": {"X-Key": SecretStr(SECRETS[2])},
    }  # fmt: skip
    (tmp_path / "chat").mkdir()
    async with (
        sandbox(tmp_path / "chat", **common, **chat) as server,
        server.call(Person("answers", says=[WORDS[4]]), caller=CALLER) as call,
    ):
        await call.reply()
        model.say(f"Hello {name}, your number is 555-010-4711.")
        await call.ask(f"I am {name} and I say {said}")
        model.answers.append(Answer([json.dumps(refused).encode()], 400))
        await call.ask(f"{said}!")
        model.call(("call_1", "transfer_to_person", arguments))
        await call.say(f"A person for {said}")
        assert (await call.reply()).text == WORDS[4]
        await call.say(f"{failed}, please")
        await call.person_hangs_up()
        await call.over.wait()
    async with (
        sandbox(tmp_path, **common, agent=f"{__name__}:raising") as server,
        server.call(caller=CALLER) as broken,
    ):
        await broken.reply()
        await broken.ask(f"{said} {CALLER}")
        unsigned = {"From": CALLER, "CallSid": "CA" + "1" * 32, "Body": said}
        async with server.http.post(f"{server.base_url}/voice", data=unsigned) as response:
            assert response.status == 403
    text = stream.getvalue()
    for canary in (*NUMBERS, *WORDS, *SECRETS):
        assert canary not in text, canary
    assert f"call {call.sid}: the agent has the call" in text
    assert f"call {call.sid}: session" in text
    assert "bad_request" in text
    assert "ValueError" in text


@pytest.mark.parametrize("form", ["text", "json"])
async def test_people_and_alarms_leave_nothing_in_the_log_that_was_said(
    tmp_path: Path, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, form: Literal["text", "json"]
) -> None:
    """Who signs in, acts and is refused; what Twilio reports, what a call came to, and what it cost."""
    stream = logged(monkeypatch, form, level="debug")
    settings: dict[str, Any] = {
        "phone_number": OURS, "log_level": "debug", "users": users_file(tmp_path),
        "agent": "chat", "model": "test", "openai_base_url": model.base_url,
        "outcome": "default", "followup_seconds": 0.0, "budget_day": 0.0001,
    }  # fmt: skip
    alert = {
        "resource_sid": "CA" + "7" * 32, "error_code": "64102", "more_info": {"Msg": WORDS[3]},
        "webhook": {"request": {"parameters": {"From": CALLER}}, "response": {"body": WORDS[4]}},
    }  # fmt: skip
    monkeypatch.setattr(budget, "LOOK_SECONDS", 0.02)
    async with sandbox(tmp_path, **settings) as server:
        async with browser(server) as http:
            assert (await sign_in(http, WORDS[5], SECRETS[0])).status == 401
            assert (await sign_in(http, "act", SECRETS[0])).status == 401
            assert (await sign_in(http, "act")).status == 303
        async with server.call(caller=CALLER) as call:
            await call.reply()
            model.say(f"Hello {WORDS[1]}.")
            await call.ask(f"I say {WORDS[0]}")
            for act, role, status in (("say", "act", 202), ("note", "watch", 403), ("comment", "act", 202)):
                url = f"{server.base_url}/api/v1/calls/{call.sid}/{act}"
                headers = {"Authorization": f"Bearer {key_of(role)}"}
                async with server.http.post(url, headers=headers, json={"text": WORDS[2]}) as response:
                    assert response.status == status, act
            headers = {"Authorization": f"Bearer {SECRETS[1]}"}
            async with server.http.get(f"{server.base_url}/api/v1/live?{CALLER}", headers=headers) as refused:
                assert refused.status == 401
            told = {"Sid": "NO1", "Level": "Error", "PayloadType": "application/json"}
            await server.post("/twilio/debugger", **told, Payload=json.dumps(alert))
            model.say(json.dumps({"resolved": {"value": WORDS[1], "line": WORDS[0]}}))
            model.say(f"{WORDS[3]}, and no JSON")
            await call.hang_up()
            await happened(tmp_path, call.sid, FollowedUp, times=2)
        await until(lambda: "budget" in stream.getvalue().lower(), "the alarm")
    text = stream.getvalue()
    for canary in (*NUMBERS, *WORDS, *SECRETS, PASSWORD, *map(key_of, ROLES)):
        assert canary not in text, canary
    for line in ("act has signed in", "bearer token is missing or wrong", "Twilio reports error 64102"):
        assert line in text
