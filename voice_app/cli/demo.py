"""A whole call in the sandbox, step by step: each has to happen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from voice_app import server
from voice_app.app import documents_of, scope, vocabulary_of
from voice_app.calls import CallState, SpokenLine
from voice_app.cli.call_transcript import TranscriptPrinter
from voice_app.cli.output import print_findings
from voice_app.guard import check_account
from voice_app.journal import Journal
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import Person, Phone, PhoneCall
from voice_app.settings import Settings
from voice_app.twilio import Configurations, Conversations, TwilioApi

PACE = 14.0
"""Words per second: five times the pace of a person, so that nobody has to wait."""


class MissingStepError(Exception):
    """A step of the demo did not happen."""


def demo_settings(folder: Path) -> Settings:
    """The sandbox with the receptionist, whatever this machine is set up for."""
    return Settings.model_construct(
        port=0,
        database_url=f"sqlite:///{folder}/demo.db",
        handoff_to=("+15550100010",),
        max_lag_ms=0,  # the phone and the double share the loop
    )


async def run_demo(settings: Settings) -> None:
    async with server.environment(settings) as (ready, api):
        _headline("A call, from the number's webhook to the goodbye")
        async with server.running(ready, api) as base_url:
            call = await _talk(ready, base_url)
            await _show_memory(ready, call)
            _headline("A handoff: a person takes the call, and everything goes on being written down")
            await _hand_over(ready, base_url)
        await _show_conversation(api, call)
        _headline("The guard: a configuration that would bill speech-to-text twice")
        await _show_refusal(ready, api)
    typer.echo("\nEvery step happened. Next: `voice-app serve`, then `voice-app call` in another terminal.")


def _phone(settings: Settings, base_url: str) -> Phone:
    return Phone(
        Network(base_url, settings.origin, settings.signing_tokens[0]),
        account_sid=settings.account_sid or "",
        words_per_second=PACE,
        twilio_base_url=settings.twilio_base_url,
        vocabulary=vocabulary_of(settings),
    )


async def _talk(settings: Settings, base_url: str) -> PhoneCall:
    status = f"{settings.origin}/voice/status"
    async with (
        _phone(settings, base_url) as phone,
        phone.call(f"{settings.origin}/voice", status_url=status, watch=TranscriptPrinter()) as call,
    ):
        greeting = await call.reply()
        _expect("the greeting", settings.greeting == greeting.text)
        await call.say("Hi, what are your opening hours?")
        heard = await call.interrupt("Sorry, I meant: how much is a repair?", after_words=8)
        _expect("the interruption", heard.interrupted and len(heard.text.split()) == 8)
        _expect("the answer", "eighty dollars" in (await call.reply()).text)
        await call.press("2")
        _expect("the answer to the key", "Mill Lane" in (await call.reply()).text)
        goodbye = await call.ask("That's all, goodbye!")
        _expect("the goodbye", "Goodbye" in goodbye.text)
        await call.over.wait()
    _expect("the end of the call by the agent", call.endings[-1].status == "ended")
    for problem in call.problems:
        raise MissingStepError(f"a call without a problem: {problem}")
    return call


async def _hand_over(settings: Settings, base_url: str) -> None:
    """The agent gives the caller to a person, who hears first what it is about."""
    person = Person("answers", says=["Hello, this is Anna. You will have it tomorrow.", "You are welcome!"])
    async with _phone(settings, base_url) as phone:
        url = f"{settings.origin}/voice"
        async with phone.call(url, watch=TranscriptPrinter(), people=[person]) as call:
            await call.reply()
            await call.ask("I want to talk to a person about a refund.")
            _expect("the person on the line", "Anna" in (await call.reply()).text)
            await call.say("Great, thank you!")
            _expect("the person's answer", "welcome" in (await call.reply()).text)
            await call.person_hangs_up()
            await call.over.wait()
    _expect("the whisper", any("about a refund" in text for text in person.heard))
    _expect("one engine at a time", call.engine_overlaps == [])
    typer.echo(f"\n  The person heard first: {person.heard[0]}\n\n  What was written down then:")
    for line in await _written_down(settings, call.sid, lines=3):
        typer.echo(f"  {'caller' if line.role == 'user' else line.role:<10} {line.content}")


async def _written_down(settings: Settings, call_sid: str, *, lines: int) -> list[SpokenLine]:
    """What ``<Transcription>`` heard. Its last callbacks may come after the call."""
    async with Journal(settings.database_url) as journal:
        for _ in range(100):
            found = [
                line
                for line in CallState.of(await journal.events(call_sid)).transcript.lines()
                if line.transcribed
            ]
            if len(found) >= lines:
                return found
            await asyncio.sleep(0.05)
    raise MissingStepError("the whole transcript did not happen")


async def _show_memory(settings: Settings, call: PhoneCall) -> None:
    """The history holds what was heard, not what was sent."""
    _headline("What the agent remembers: what the caller heard")
    async with Journal(settings.database_url) as journal:
        history = CallState.of(await journal.events(call.sid)).transcript.as_heard()
    for line in history:
        typer.echo(f"  {line.role:<10} {line.content}")
    heard = [reply.text for reply in call.replies if reply.interrupted]
    _expect("the cut in the history", heard[0] in [line.content for line in history])


async def _show_conversation(api: TwilioApi, call: PhoneCall) -> None:
    _expect("a conversation at the Orchestrator", call.conversation_id is not None)
    conversation = await Conversations(api).fetch(call.conversation_id or "")
    typer.echo(f"\n  Conversation {conversation.id} belongs to {conversation.configuration_id}.")


async def _show_refusal(settings: Settings, api: TwilioApi) -> None:
    """Twilio's own quickstart makes this configuration."""
    rule = {"from": "*", "to": settings.phone_number, "metadata": {"callType": "PSTN"}}
    named = settings.conversation_configuration or ""
    await Configurations(api).update(named, {"channelSettings": {"VOICE": {"captureRules": [rule]}}})
    found = await check_account(api, scope(settings, documents_of(settings)))
    print_findings(found.refusals, as_json=False)
    _expect("the refusal", [finding.rule for finding in found.refusals] == ["STT101"])
    typer.echo("\n  `voice-app serve` would stop here, before it takes a call.")


def _headline(text: str) -> None:
    typer.echo(f"\n{text}\n{'─' * len(text)}")


def _expect(what: str, happened: bool) -> None:
    if not happened:
        raise MissingStepError(f"{what} did not happen")
