"""What a server has to do right before it is timed."""

from __future__ import annotations

import asyncio
import dataclasses

import aiohttp

from support.rivals.scenarios import Reply
from support.rivals.servers import Running
from voice_app.sandbox.load.target import LoadError, LoadTarget, new_call_sid
from voice_app.sandbox.load.virtual_caller import TurnTally, VirtualCaller, answer
from voice_app.sandbox.network import Network, WebhookError

CUT_SECONDS = 0.05


async def check(server: Running, reply: Reply) -> None:
    """Phone a server, ask, cut in and ask again. Raises `LoadError` that says what it did wrong."""
    async with aiohttp.ClientSession(trust_env=False) as http:
        if server.contestant.checks_signatures:
            await _refuses_forgeries(http, server.target)
        sid = new_call_sid()
        try:
            twiml = await server.target.network.post(http, server.target.webhook, server.target.form(sid))
        except WebhookError as error:
            raise LoadError(f"a call was not answered: {error}") from None
        caller = await answer(server.target, sid, twiml)
        try:
            await _answers(caller, 1, reply)
            await _answers(caller, 2, reply)
            await _stops(caller)
            await _answers(caller, 4, reply)
        finally:
            await caller.hang_up()


async def _refuses_forgeries(http: aiohttp.ClientSession, target: LoadTarget) -> None:
    forger = Network(target.network.base, target.network.origin, "not the account's token")
    try:
        await forger.post(http, target.webhook, target.form(new_call_sid()))
    except WebhookError as error:
        if " 403" in str(error):
            return
        raise LoadError(f"a webhook with a wrong signature should be refused with 403; {error}") from None
    raise LoadError("a webhook with a wrong signature was answered")


async def _answers(caller: VirtualCaller, turn: int, reply: Reply) -> None:
    tally = TurnTally()
    await caller.ask(tally)
    wanted = [f"r{turn}w{word}" for word in range(1, reply.words + 1)]
    heard = caller.last_reply.replace(".", " ").split()
    if tally.unanswered or heard != wanted:
        raise LoadError(f"turn {turn} should have been answered with {wanted}, not with {heard}")


async def _stops(caller: VirtualCaller) -> None:
    tally = TurnTally()
    await caller.ask(tally, cut_seconds=CUT_SECONDS)
    await asyncio.sleep(CUT_SECONDS)
    if tally.unanswered or tally.stale:
        lost = dataclasses.asdict(tally)
        raise LoadError(f"a reply went on although the server had heard of the interruption: {lost}")
