"""The model of a chaos run: an OpenAI-compatible endpoint that knows who asks, and fails as it is told to."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from support.chaos.story import ChaosRun, asked_about
from support.model import event

ModelFault = Literal["", "slow", "cut", "429", "garbage", "endless", "blocking"]

SHARE: Final = 0.6
"""Of the requests, while a fault is in force."""
BLOCKING_SHARE: Final = 0.05
"""One call that blocks holds up all others, which may block, too."""
WORDS: Final = (6, 14)
ENDLESS_WORDS: Final = 50_000
_CALLER: Final = re.compile(r"Caller (\d+)")
_GARBAGE: Final = (
    b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>",
    b"data: {not json\n\ndata: [DONE]\n\n",
    b'data: {"choices": 7}\n\ndata: [DONE]\n\n',
    b'data: {"choices": [{"delta": 3}]}\n\n',
    b"\x00\xff\xfe" * 400,
    b"data: " + b"[" * 20_000 + b"\n\n",
)


class ChaosModel:
    """Answers "Caller 12, question 7." with words that name both."""

    def __init__(self, run: ChaosRun) -> None:
        self.fault: ModelFault = ""
        self.base_url = ""
        self._run = run
        self._dice = random.Random(f"model {run.seed}")

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Serve on a free port of loopback while the block runs."""
        app = web.Application(client_max_size=1 << 24)
        app.add_routes(
            [web.post("/v1/chat/completions", self._complete), web.get("/v1/models", self._models)]
        )
        self._runner = runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            yield
        finally:
            await runner.cleanup()

    async def hang_up(self) -> None:
        """Close the connections that clients keep open for their next request."""
        if (server := self._runner.server) is not None:
            await server.shutdown(0.2)

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        messages = msgspec.json.decode(await request.read())["messages"]
        said = [str(message["content"]) for message in messages if message["role"] == "user"]
        self._look_for_losses(said)
        share = BLOCKING_SHARE if self.fault == "blocking" else SHARE
        fault = self.fault if self._dice.random() < share else ""
        if fault == "429":
            headers = {"Retry-After": "1"} if self._dice.random() < 0.5 else {}
            return web.json_response({"error": {"code": "rate_limited"}}, status=429, headers=headers)
        if fault == "slow":
            await asyncio.sleep(self._dice.uniform(1, 8))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        again = messages[-1]["role"] == "tool"
        with suppress(ConnectionError):  # the client does not want any more
            await response.prepare(request)
            await self._answer(response, said[-1] if said else "", fault, again=again)
        if fault == "cut" and request.transport is not None:
            request.transport.abort()
        return response

    async def _answer(self, response: web.StreamResponse, text: str, fault: str, *, again: bool) -> None:
        asked, caller = asked_about(text), (_CALLER.findall(text) or ["0"])[-1]
        if fault == "garbage":
            await response.write(self._dice.choice(_GARBAGE))
        elif "a person" in text and not again:
            await self._call_tool(response, "transfer_to_person", {"reason": "asked", "summary": "A test."})
        elif "goodbye" in text and not again:
            await response.write(event({"choices": [{"delta": {"content": f"Goodbye, c{caller}q0end."}}]}))
            await self._call_tool(response, "end_call", {"reason": "finished"})
        elif not asked:
            await self._speak(response, ["Please", "ask."], fault)
        elif fault == "blocking" and not again:
            await self._call_tool(response, "count_slowly", {"seconds": round(self._dice.uniform(0.5, 3), 1)})
        else:
            words = ENDLESS_WORDS if fault == "endless" else self._dice.randint(*WORDS)
            mark = "c{}q{}".format(*asked[-1])
            spoken = [f"{mark}w{word}{'' if word % 5 else '.'}" for word in range(1, words + 1)]
            await self._speak(response, [*spoken, f"{mark}end."], fault)

    async def _speak(self, response: web.StreamResponse, words: list[str], fault: str) -> None:
        if fault == "cut":
            words = words[: self._dice.randrange(len(words))]
        for place in range(0, len(words), 3):
            text = "".join(f"{word} " for word in words[place : place + 3])
            await response.write(event({"choices": [{"delta": {"content": text}}]}))
            await asyncio.sleep(0.03)
        if fault != "cut":
            await self._finish(response, "stop")

    async def _call_tool(self, response: web.StreamResponse, name: str, arguments: dict[str, Any]) -> None:
        function = {"name": name, "arguments": msgspec.json.encode(arguments).decode()}
        call = {"index": 0, "id": f"call_{self._dice.getrandbits(32)}", "function": function}
        await response.write(event({"choices": [{"delta": {"tool_calls": [call]}}]}))
        await self._finish(response, "tool_calls")

    async def _finish(self, response: web.StreamResponse, reason: str) -> None:
        chunk = {"choices": [{"delta": {}, "finish_reason": reason}]}
        await response.write(event(chunk) + b"data: [DONE]\n\n")

    def _look_for_losses(self, said: list[str]) -> None:
        """Whether all that this caller has asked before is there, and nothing that another one has."""
        found = [asked for text in said for asked in asked_about(text)]
        if not found:
            return
        caller, last = found[-1]
        if others := {other for other, _ in found} - {caller}:
            self._run.mixed.append(f"the model was asked for caller {caller}, and told of {sorted(others)}")
        known = {number for other, number in found if other == caller}
        now = monotonic()
        self._run.forgotten += [(now, caller, number) for number in range(1, last) if number not in known]
