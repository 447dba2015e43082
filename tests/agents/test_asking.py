"""`ask` on a connection: what is said, what is taken, and what becomes of the rest of the turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from support.driver import CALL
from support.relay_wire import Wire
from support.waiting import until
from voice_app import (
    AskEndedError,
    Call,
    Choice,
    Date,
    Digits,
    Email,
    Name,
    NoAnswerError,
    Piece,
    Transfer,
    Turn,
    YesNo,
    ask,
)
from voice_app.agents.actions import ask_tool
from voice_app.agents.tool_calls import ToolRequest
from voice_app.agents.toolbox import ToolBox
from voice_app.journal import events
from voice_app.settings import NumberSettings

QUESTION = "What is your e-mail address?"
CONFIRM = "I have john at example dot com. Is that right?"


class Conversation:
    """A caller who answers what an agent asks. ``work`` is what the agent does in its first turn."""

    def __init__(self, work: Callable[[Call], Awaitable[object]], line: NumberSettings | None = None) -> None:
        self.outcomes: list[object] = []
        self.histories: list[list[tuple[str, str]]] = []
        self.turns: list[Turn] = []
        self._work = work
        self.wire = Wire(self._agent, line or NumberSettings(silence_seconds=0))
        self._read = 0

    async def _agent(self, call: Call, turn: Turn) -> AsyncIterator[Piece]:
        self.turns.append(turn)
        if len(self.turns) > 1:
            yield f"Anew: {turn.text}"
            return
        try:
            self.outcomes.append(await self._work(call))
        except (NoAnswerError, AskEndedError) as error:
            self.outcomes.append(error)
            raise
        finally:
            self.histories.append([(message.role, message.content) for message in call.history])
        yield "Thank you."

    async def hears(self, text: str) -> None:
        """The next words of the agent are these."""
        try:
            await until(lambda: self.wire.spoken[self._read :].startswith(text))
        finally:
            heard = self.wire.spoken[self._read :]
        assert heard == text
        self._read += len(text)

    def says(self, text: str) -> None:
        self.wire.prompt(text)

    def types(self, keys: str) -> None:
        for key in keys:
            self.wire.receive(type="dtmf", digit=key)

    def of(self, kind: type[events.Event]) -> list[events.Event]:
        return [event for event in self.wire.events if isinstance(event, kind)]


async def talked(
    work: Callable[[Call], Awaitable[object]],
    script: Callable[[Conversation], Awaitable[None]],
    line: NumberSettings | None = None,
) -> Conversation:
    """Run a conversation on a connection to its end."""
    conversation = Conversation(work, line)
    running = asyncio.create_task(conversation.wire.connection.run())
    try:
        conversation.says("Hello.")
        await script(conversation)
    finally:
        conversation.wire.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await running
    return conversation


async def test_an_answer_is_read_back_and_confirmed_and_the_agent_goes_on() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears(QUESTION)
        caller.says("It is john at example dot com.")
        await caller.hears(CONFIRM)
        caller.says("Yes.")
        await caller.hears("Thank you.")

    done = await talked(lambda call: ask(call, Email()), script)
    assert done.outcomes == ["john@example.com"]
    assert len(done.turns) == 1
    assert done.histories == [
        [
            ("user", "Hello."),
            ("assistant", QUESTION),
            ("user", "It is john at example dot com."),
            ("assistant", CONFIRM),
        ]
    ]
    assert done.of(events.Failed) == []


async def test_what_is_no_answer_is_asked_for_again_spelt_and_read_back_spelt() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears(QUESTION)
        caller.says("I am not sure.")
        await caller.hears(
            "Sorry, I did not get that. Please spell the e-mail address for me, letter by letter."
        )
        caller.says("b o b at example dot com")
        await caller.hears("I have b, o, b, at example dot com. Is that right?")
        caller.says("Yes.")
        await caller.hears("Thank you.")

    assert (await talked(lambda call: ask(call, Email()), script)).outcomes == ["bob@example.com"]


async def test_who_spells_with_a_pause_is_understood_from_both_parts() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears(QUESTION)
        caller.says("j o h n at")
        await until(lambda: "Please spell" in caller.wire.spoken)
        caller._read = len(caller.wire.spoken)
        caller.says("example dot com")
        await until(lambda: "Is that right?" in caller.wire.spoken)
        caller.says("Right.")
        await until(lambda: "Thank you." in caller.wire.spoken)

    assert (await talked(lambda call: ask(call, Email()), script)).outcomes == ["john@example.com"]


async def test_a_caller_who_says_no_is_asked_again_and_one_who_corrects_is_not() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears(QUESTION)
        caller.says("jon at example dot com")
        await caller.hears("I have jon at example dot com. Is that right?")
        caller.says("No, it is john at example dot com.")
        await caller.hears(CONFIRM)
        caller.says("No.")
        await caller.hears("Sorry about that. Please spell the e-mail address for me, letter by letter.")
        caller.says("j o n n at example dot com")
        await caller.hears("I have j, o, n, n, at example dot com. Is that right?")
        caller.says("Yes, that's right.")
        await caller.hears("Thank you.")

    assert (await talked(lambda call: ask(call, Email()), script)).outcomes == ["jonn@example.com"]


async def test_after_the_last_try_the_agent_is_told() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("Yes or no?")
        caller.says("Perhaps.")
        await caller.hears(
            "Sorry, I did not get that. Please say yes or no. You can also press 1 – yes or 2 – no. "
            "To go on without it, press star."
        )
        caller.says("Perhaps not.")
        await until(lambda: bool(caller.outcomes))

    (error,) = (await talked(lambda call: ask(call, YesNo(), tries=2), script)).outcomes
    assert isinstance(error, NoAnswerError)
    assert (error.kind, error.reason) == ("yes_no", "not-understood")


async def test_an_answer_that_nobody_caught_is_a_failure_of_the_agent() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("Yes or no?")
        caller.says("Perhaps.")
        await caller.hears("I am sorry, something went wrong on my side. Could you say that again?")

    done = await talked(lambda call: ask(call, YesNo(), tries=1), script)
    assert done.of(events.Failed) == [events.Failed("agent", "NoAnswerError")]


async def test_star_is_the_way_out() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears(QUESTION)
        caller.types("*")
        await until(lambda: bool(caller.outcomes))

    (error,) = (await talked(lambda call: ask(call, Email()), script)).outcomes
    assert isinstance(error, NoAnswerError)
    assert error.reason == "declined"


@pytest.mark.parametrize(
    ("kind", "keys", "value"),
    [
        (Digits(4), "1234", "1234"),
        (Digits(), "123#", "123"),
        (Choice(["small", "large"]), "2", "large"),
        (YesNo(), "1", True),
    ],
)
async def test_keys_are_taken_from_the_first_try_on(kind: object, keys: str, value: object) -> None:
    async def script(caller: Conversation) -> None:
        await until(lambda: caller.wire.spoken != "")
        caller.types(keys)
        await until(lambda: "right?" in caller.wire.spoken or bool(caller.outcomes))
        caller.types("1")
        await until(lambda: bool(caller.outcomes))

    assert (await talked(lambda call: ask(call, kind), script)).outcomes == [value]  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["said", "typed"])
async def test_a_secret_is_given_to_the_agent_and_stands_nowhere_else(way: str) -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("Please type the number on your keypad, and then press pound.")
        if way == "said":
            caller.says("four seven one one four seven one one")
        else:
            caller.types("47114711")
        await caller.hears("Thank you.")

    done = await talked(lambda call: ask(call, Digits(8, secret=True)), script)
    assert done.outcomes == ["47114711"]
    assert "seven" not in repr(done.wire.events)
    assert "47114711" not in repr(done.wire.events)
    hidden = "(said something, hidden)" if way == "said" else "(pressed keys, hidden)"
    history = [message.content for message in done.wire.session._dialogue.history()]
    assert hidden in history, history


async def test_the_keys_of_the_agent_are_its_own_again_afterwards() -> None:
    async def script(caller: Conversation) -> None:
        await until(lambda: caller.wire.spoken != "")
        assert caller.wire.session.call.keys.sensitive
        caller.types("4711")
        await until(lambda: bool(caller.outcomes))

    done = await talked(lambda call: ask(call, Digits(4, secret=True)), script)
    assert not done.wire.session.call.keys.sensitive


async def test_a_hang_up_ends_the_question() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears(QUESTION)

    done = await talked(lambda call: ask(call, Email()), script)
    assert [type(outcome) for outcome in done.outcomes] == [AskEndedError]
    assert done.of(events.Failed) == []


async def test_a_person_who_pulls_the_call_ends_the_question() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears(QUESTION)
        assert caller.wire.connection.leave(Transfer("pulled"))
        await until(lambda: bool(caller.outcomes))

    done = await talked(lambda call: ask(call, Email()), script)
    assert [type(outcome) for outcome in done.outcomes] == [AskEndedError]


async def test_a_sound_of_listening_answers_a_question_that_is_still_being_spoken() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("Yes or no?")
        caller.wire.receive(type="info", name="agentSpeaking", value="on")
        caller.says("Yeah.")
        await caller.hears("Thank you.")

    assert (await talked(lambda call: ask(call, YesNo()), script)).outcomes == [True]


async def test_a_caller_who_cuts_into_the_question_answers_it() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("Yes or no?")
        caller.wire.receive(type="interrupt", utteranceUntilInterrupt="Yes", durationUntilInterruptMs=100)
        caller.says("No!")
        await caller.hears("Thank you.")

    done = await talked(lambda call: ask(call, YesNo()), script)
    assert done.outcomes == [False]
    assert ("assistant", "Yes") in done.histories[0]


async def test_nobody_guesses_at_an_answer_that_is_not_final() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("Yes or no?")
        caller.wire.receive(type="prompt", voicePrompt="Yes.", lang="en-US", last=False)
        await asyncio.sleep(0)
        caller.says("Yes. No, wait, no.")
        await caller.hears("Thank you.")

    line = NumberSettings(speculate="stable", silence_seconds=0)
    done = await talked(lambda call: ask(call, YesNo()), script, line)
    assert done.outcomes == [False]


async def test_a_question_is_asked_in_the_language_of_the_line() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("Welches Datum?")
        caller.says("Weiß nicht.")
        await until(lambda: bool(caller.outcomes))

    line = NumberSettings(language="de-DE", silence_seconds=0)
    done = await talked(lambda call: ask(call, Date(), tries=1), script, line)
    assert isinstance(done.outcomes[0], NoAnswerError)


async def test_a_tool_asks_and_the_model_is_told_the_answer() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("What is your name, please?")
        caller.says("Anna Lee.")
        await caller.hears("I have Anna Lee. Is that right?")
        caller.says("Yes.")
        await caller.hears("Thank you.")

    tools = ToolBox([ask_tool(Name())])

    async def work(call: Call) -> object:
        runs = tools.runs([ToolRequest("1", "ask_name", "{}")])
        tools.start(call, runs[0])
        await tools.settle(runs)
        return runs[0].outcome

    assert (await talked(work, script)).outcomes == ["Anna Lee"]


async def test_two_tools_that_ask_at_once_ask_one_after_the_other() -> None:
    async def script(caller: Conversation) -> None:
        await caller.hears("Yes or no?")
        caller.says("Yes.")
        await caller.hears("Really?")
        caller.says("No.")
        await caller.hears("Thank you.")

    async def work(call: Call) -> object:
        return await asyncio.gather(ask(call, YesNo()), ask(call, YesNo(), "Really?"))

    assert (await talked(work, script)).outcomes == [[True, False]]


async def test_what_outlives_its_turn_asks_nothing() -> None:
    late: list[asyncio.Task[bool]] = []
    go = asyncio.Event()

    async def script(caller: Conversation) -> None:
        await caller.hears("Thank you.")
        go.set()
        await until(lambda: late[0].done())

    async def work(call: Call) -> object:
        async def asks() -> bool:
            await go.wait()
            return await ask(call, YesNo())

        late.append(asyncio.create_task(asks()))
        return None

    await talked(work, script)
    with pytest.raises(AskEndedError):
        late[0].result()


def test_a_secret_is_not_for_a_model() -> None:
    with pytest.raises(ValueError, match="tool of yours"):
        ask_tool(Digits(4, secret=True))


async def test_without_a_server_there_is_nobody_to_ask() -> None:
    with pytest.raises(RuntimeError, match="voice-app call"):
        await ask(Call(CALL), YesNo())
