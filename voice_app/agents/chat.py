"""The agent with a model: any OpenAI-compatible endpoint, with tools, deadlines and a second endpoint.

In one turn: the model's words are yielded as they come. Where it calls tools, a `Break` ends what was
said so far, the tools run together, and the model goes on with their results, at most `max_rounds`
times. Where no answer can be had, a `ModelError` tells whoever runs the agent to say something of its
own; once a tool has acted, a line is said that does not deny it. A refusal that the model worded is
spoken like any answer.

A turn may be cancelled at any moment: the response is closed at once, tools that act on the world go
on, and what they return stands in the next request (see `voice_app.agents.messages`). A conversation
that is too long for the model loses its oldest exchanges; they are summarised beside the call.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final, Self

import aiohttp

from voice_app.agents import messages as model_messages
from voice_app.agents.actions import ACTIONS
from voice_app.agents.client import ModelAnswer, ModelClient
from voice_app.agents.endpoints import ChatSettings, Endpoint
from voice_app.agents.failures import ModelError
from voice_app.agents.messages import Round
from voice_app.agents.prompt import PromptTemplate
from voice_app.agents.protocol import Action, Break, Call, EndCall, Message, Piece, Transfer, Turn
from voice_app.agents.shapes import ChatEntry
from voice_app.agents.text import fingerprint
from voice_app.agents.toolbox import Late, ToolBox, ToolRun
from voice_app.agents.tools import Tool
from voice_app.journal.events import ModelUsed
from voice_app.settings import ModelSettings

__all__ = ["Chat", "ChatSettings"]

FOR_A_COLLEAGUE: Final = (
    "A colleague takes over this phone call. In at most two short sentences, to be read aloud to them: who "
    "calls, what they want, and what was tried. No greeting, no list."
)
FOR_ITSELF: Final = (
    "Sum up this part of a phone call for the assistant who goes on with it, in at most eight sentences: who "
    "calls, what they want, every name, number, date and promise, what was done and what is open."
)

log = logging.getLogger(__name__)


class Chat:
    """An agent: call it with a call and a turn. One instance serves all calls.

    ``http`` is shared and stays the caller's to close; without it, one is made when it is first needed,
    and `close` closes it. ``late`` hears of tools that finish when nobody waits for them any more.
    """

    def __init__(
        self,
        settings: ChatSettings,
        *,
        tools: Iterable[Tool[..., Any]] = ACTIONS,
        http: aiohttp.ClientSession | None = None,
        late: Late | None = None,
    ) -> None:
        self.settings = settings
        self._prompt = PromptTemplate.from_file(settings.prompt)
        self._tools = ToolBox(tools, late=late)
        self._client = ModelClient(settings, self._tools, http)
        self._summaries: dict[str, asyncio.Task[None]] = {}

    def within(self, environment: ModelSettings) -> Self:
        """The same agent, asking where other settings say, as far as it was not given that itself."""
        other = copy.copy(self)
        other.settings = self.settings.within(environment)
        other._prompt = PromptTemplate.from_file(other.settings.prompt)
        other._client = ModelClient(other.settings, self._tools, self._client.shared)
        other._summaries = {}
        return other

    @property
    def version(self) -> str:
        """A hash of prompt, models and tools: another agent has another one."""
        settings = self.settings
        models = [(item.model, item.where) for item in settings.endpoints]
        parts = (self._prompt.text, models, settings.temperature, settings.max_tokens, settings.extra)
        return fingerprint(repr(parts).encode(), bytes(self._tools.definitions))

    async def __call__(self, call: Call, turn: Turn) -> AsyncGenerator[Piece]:
        spoke = False  # anything was heard or done in this turn, a filler included
        answered = False  # the model's own words, or an action on the call
        unfinished = [run for item in model_messages.rounds(call) for run in item.runs if run.running]
        async with aclosing(self._wait(call, unfinished, fill=True)) as pieces:
            async for piece in pieces:
                spoke = True
                yield piece
        for action in _actions(call):
            yield action
            if isinstance(action, Transfer | EndCall):
                return
            spoke = answered = True
        rounds: list[Round] = []
        begun = len(call.history)
        for asked in range(1, self.settings.max_rounds + 1):
            said: list[str] = []
            answer = ModelAnswer()
            try:
                async with aclosing(
                    self._ask(call, turn, rounds, answer, begun, may_be_empty=answered or turn.kind == "note")
                ) as words:
                    async for text in words:
                        said.append(text)
                        yield text
            except ModelError as error:
                if answer.spoke or not self._have_acted(rounds):
                    raise
                log.warning("call %s: no words after a tool that acted: %s", call.sid, error)
                yield self.settings.after_tool_line
                return
            if not answer.requests:
                return
            if asked == self.settings.max_rounds:
                break
            # Nothing acts before this was taken: a turn that is only tried out stops here.
            yield Break()
            runs = self._tools.runs(answer.requests)
            rounds.append(
                model_messages.remember(call, turn, runs, "".join(said), answer.endpoint, answer.extras)
            )
            for run in runs:
                self._tools.start(call, run)
            spoke, answered = spoke or bool(said), answered or bool(said)
            async with aclosing(self._wait(call, runs, fill=not spoke)) as pieces:
                async for piece in pieces:
                    spoke = True
                    yield piece
            for action in _actions(call):
                yield action
                if isinstance(action, Transfer | EndCall):
                    return
                spoke = answered = True
        model, limit = self.settings.model, self.settings.max_rounds
        endless = ModelError("too-many-rounds", f"{model} called tools {limit} times without an answer")
        if not self._have_acted(rounds):
            raise endless
        log.warning("call %s: no words after a tool that acted: %s", call.sid, endless)
        yield self.settings.after_tool_line

    async def warm(self, call: Call) -> None:
        """Open a connection before the first turn needs it. Never raises."""
        await self._client.warm()

    async def summarise(self, history: Sequence[Message]) -> str:
        """What a person has to know who takes the call over. Raises `ModelError`."""
        return await self._summary(FOR_A_COLLEAGUE, history)

    async def close(self) -> None:
        """Close the HTTP session, if it is our own."""
        for task in self._summaries.values():
            task.cancel()
        await self._client.close()

    # --- asking ----------------------------------------------------------------------------------

    async def _ask(
        self,
        call: Call,
        turn: Turn,
        rounds: Sequence[Round],
        answer: ModelAnswer,
        begun: int,
        *,
        may_be_empty: bool,
    ) -> AsyncGenerator[str]:
        """One answer. A conversation that is too long is asked about again without its oldest part."""
        system = self._prompt.render(call, turn)

        def messages(endpoint: Endpoint) -> list[ChatEntry]:
            return model_messages.entries(system, call, turn, rounds, origin=endpoint, begun=begun)

        while True:
            used = len(answer.used)
            try:
                async with aclosing(self._client.ask(messages, answer, may_be_empty=may_be_empty)) as words:
                    async for text in words:
                        yield text
            except ModelError as error:
                if error.kind != "context-full" or answer.spoke:
                    raise
                omitted = model_messages.shorten(call)
                if not omitted:
                    raise
                log.warning("call %s: %d old messages are left out: %s", call.sid, omitted, error)
            else:
                break
            finally:
                _note(call, answer.used[used:])
        if model_messages.to_sum_up(call) and call.sid not in self._summaries:
            task = asyncio.create_task(self._sum_up(call), name=f"summary {call.sid}")
            self._summaries[call.sid] = task
            task.add_done_callback(lambda _: self._summaries.pop(call.sid, None))

    async def _sum_up(self, call: Call) -> None:
        """Write down beside the call what its model no longer sees; a later turn may know it."""
        try:
            while lines := model_messages.to_sum_up(call):
                end = call.state[model_messages.OMITTED]
                if before := call.state.get(model_messages.SUMMARY):
                    lines = [Message("assistant", f"(Before that: {before})"), *lines]
                call.state[model_messages.SUMMARY] = await self._summary(FOR_ITSELF, lines, call)
                call.state[model_messages.SUMMED_UP] = end
        except ModelError as error:
            log.warning("call %s: what is left out was not summed up: %s", call.sid, error)

    async def _summary(self, wanted: str, history: Sequence[Message], call: Call | None = None) -> str:
        lines = "\n".join(f"{message.role}: {message.content}" for message in history)
        answer = ModelAnswer()
        try:
            return await self._client.ask_once(
                [{"role": "system", "content": wanted}, {"role": "user", "content": lines}], answer
            )
        finally:
            _note(call, answer.used)

    # --- tools -----------------------------------------------------------------------------------

    def _have_acted(self, rounds: Sequence[Round]) -> bool:
        return any(self._tools.acts(run) for item in rounds for run in item.runs)

    async def _wait(self, call: Call, runs: list[ToolRun], *, fill: bool) -> AsyncGenerator[Piece]:
        """Wait for tools; say their filler if they take long and nothing else was said."""
        try:
            filler = self._tools.filler(runs) if fill else ""
            is_late = filler and not await self._tools.settle(runs, within=self.settings.filler_after)
            if is_late and not (call.floor is not None and call.floor.asking):
                yield filler
                yield Break()
            await self._tools.settle(runs)
        finally:
            self._tools.leave(runs)


def _note(call: Call | None, used: Sequence[ModelUsed]) -> None:
    """Write down what was used for a call."""
    if call is not None and call.log is not None:
        for event in used:
            call.log.write(event)


def _actions(call: Call) -> Iterator[Action]:
    """What tools wanted done on the call, each once."""
    for item in model_messages.rounds(call):
        for run in item.runs:
            action, run.action = run.action, None
            if action is not None:
                yield action
