"""``POST /voice/resume``: take a call up again, from the journal alone.

A server that stops sends the calls that it still has here (``<Redirect>``), where the balancer gives them to
another one; and the action of ``<Connect>`` ends here when a session broke off. Nothing but the journal
decides, so that every server answers alike, however often it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from starlette.responses import Response

from voice_app import telemetry
from voice_app.calls import CallState, HistoryLine, ResumeState
from voice_app.handoff import State
from voice_app.journal import Entry
from voice_app.journal.events import Acted, Disconnected, Opened, SessionEnded
from voice_app.settings import NumberSettings
from voice_app.webhooks.desk import NOTHING, OVER, RESUME, Desk, twiml
from voice_app.webhooks.signature import Form
from voice_app.webhooks.way import Way

GIVEN_UP: Final = 1012
"""The close code of a socket whose server stops, so that another one takes the call."""
WITH_THE_AGENT: Final = frozenset({State.NONE, State.WITH_AGENT})


async def resume(desk: Desk, form: Form) -> Response:
    """Take the call up again."""
    if form.get("CallStatus") in OVER:
        return twiml(NOTHING)
    if desk.draining and (redirect := desk.elsewhere(RESUME, form)) is not None:
        return redirect
    call_sid = form["CallSid"]
    return await take_up(desk, form, call_sid, await desk.entries(call_sid))


async def take_up(desk: Desk, form: Form, call_sid: str, entries: Sequence[Entry]) -> Response:
    """What the caller's line does after a session broke off.

    What the agent had decided comes about: the way to a person, or the end of the call. Else the agent goes
    on, a bounded number of times; then a person takes the call.
    """
    if not any(isinstance(entry.event, Opened) for entry in entries):
        # The server that answered the call is gone, and took what it had written with it.
        opened = Opened(form.get("From", ""), form.get("To", ""), form.get("Direction", "inbound"))
        desk.journal.write(call_sid, opened)
    way = Way(desk, form, call_sid, entries)
    if way.handoff.state not in WITH_THE_AGENT:
        return way.document()
    past = CallState.of(entries).resume_state(0.0)
    match past.decided:
        case Acted(action="transfer", detail=reason, summary=summary):
            return await way.begin(reason, summary)
        case Acted():
            return desk.serve("goodbye.xml", way.context("finished"), entries)
        case None:
            pass
    if _breaks(entries) > desk.settings.max_resumes:
        return await way.begin("agent-failed", "The connection to the automated assistant broke repeatedly.")
    telemetry.RESUMED.inc()
    context = way.context("resume")
    context = replace(
        context,
        resume_greeting=_greeting(past, desk.line(context.number)),
        tts_language=past.tts_language,
        transcription_language=past.transcription_language,
    )
    return desk.serve("resume.xml", context, entries)


def _greeting(past: ResumeState, line: NumberSettings) -> str:
    """The one short line with which the agent goes on."""
    if not past.history:
        return line.greeting  # nobody has heard anything yet
    if past.history[-1] == HistoryLine("assistant", line.resume_greeting):
        return ""  # it was said, and nothing since
    return line.resume_greeting


def _breaks(entries: Sequence[Entry]) -> int:
    """How many sessions of this call broke off. One that a server gave up as it stopped is not counted.

    Twilio reports a session twice if our answer was lost; only a report without a session's id, where none
    began, counts each time.
    """
    broken: set[str] = set()
    given_up: set[str] = set()
    nameless = 0
    for entry in entries:
        match entry.event:
            case SessionEnded(status="completed" | "ended"):
                pass
            case SessionEnded(session_id=""):
                nameless += 1
            case SessionEnded(session_id=session_id):
                broken.add(session_id)
            case Disconnected(session_id=session_id, code=code) if code == GIVEN_UP:
                given_up.add(session_id)
            case _:
                pass
    return len(broken - given_up) + nameless
