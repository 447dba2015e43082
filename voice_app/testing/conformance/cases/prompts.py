"""What the caller says."""

from __future__ import annotations

from typing import Any

from voice_app.testing.conformance.case import Grade, case, survives
from voice_app.testing.conformance.trial import Trial
from voice_app.testing.conformance.wire import WireCall

_SILENCE = "silence: nobody answers what they said"
LONG = "I would like to tell you the whole story from the beginning. "


def _answered(
    name: str,
    sends: str,
    text: str = "",
    *,
    source: str = "§2.1 prompt",
    heard: str = _SILENCE,
    grade: Grade = Grade.RULE,
    **changes: Any,
) -> None:
    """A prompt of some kind is answered."""

    @case(name, sends=sends, holds="it is answered", source=source, heard=heard, grade=grade)
    async def _(trial: Trial) -> None:
        async with trial.call() as call:
            await call.ask(text, **changes)


_answered("prompt", "a prompt with `last` true")
_answered("prompt-primary-language", "a prompt with `lang` `en`, as with `multi`", lang="en",
          source="§1.2 transcriptionLanguage")  # fmt: skip
_answered(
    "prompt-other-language",
    "a prompt in Spanish, `lang` `es-ES`",
    "Hola, ¿qué puede hacer por mí? Cuéntemelo, por favor.",
    lang="es-ES",
)
_answered(
    "prompt-unicode",
    "a prompt with emoji, Chinese, Arabic, combining marks and U+2028",
    "Hello 👩‍👩‍👧 你好 مرحبا e\u0301\u2028 please tell me what you can do.",
)
_answered(
    "prompt-markup",
    "a prompt with quotes, braces, XML and a backslash in it",
    'Say "hello" to {name} & <Response/> \\n {"type":"end"} please.',
    source="§4 untrusted text",
    heard="silence; or they make the agent say or do what it should not",
)
_answered("prompt-long", "a prompt of 3,000 characters", LONG * 50)
_answered(
    "prompt-very-long",
    "a prompt of 60,000 characters",
    LONG * 1000,
    source="§9.6: no limit is known",
    grade=Grade.UNCONFIRMED,
)
_answered(
    "prompt-new-fields",
    "a prompt with more fields, as `includeInPrompt` adds them",
    turnState={"a": 1},
    source="§1.2 includeInPrompt",
)
_answered("prompt-without-language", "a prompt whose `lang` is empty", lang="", grade=Grade.UNCONFIRMED)


@case(
    "prompt-again",
    sends="one prompt, its answer, and the same prompt again",
    holds="both are answered",
    source="§2.1 prompt",
    heard="silence when they repeat themselves",
)
async def prompt_again(trial: Trial) -> None:
    async with trial.call() as call:
        await call.ask()
        await call.ask()


@case(
    "ten-turns",
    sends="ten prompts, each after the answer to the one before",
    holds="each is answered",
    source="§2.1 prompt",
    heard="an agent that falls silent in the middle of the call",
)
async def ten_turns(trial: Trial) -> None:
    async with trial.call() as call:
        for _ in range(10):
            await call.ask()


@case(
    "prompt-while-answering",
    sends="a second prompt before the answer to the first one is over, without an interrupt",
    holds="an answer is closed after it, and the next prompt is answered",
    source="§1.2 reportInputDuringAgentSpeech",
    heard="silence after they added something",
)
async def prompt_while_answering(trial: Trial) -> None:
    async with trial.call() as call:
        since = call.position
        await call.prompt()
        await call.seen(lambda: bool(call.words(since).strip()), trial.patience.reply)
        after = call.position
        await call.prompt()
        await call.answer(after)
        await call.ask()


@case(
    "prompts-in-a-burst",
    sends="three prompts at once, as after a stall",
    holds="there is an answer, and the session goes on",
    source="§7 Stale input",
    heard="silence, or the line breaks off",
)
async def prompts_in_a_burst(trial: Trial) -> None:
    async with trial.call() as call:
        since = call.position
        for _ in range(3):
            await call.prompt()
        await call.answer(since)
        call.must_be_open()


@case(
    "prompt-in-fragments",
    sends="a prompt as one message of three fragments",
    holds="it is answered",
    source="RFC 6455 §5.4",
    heard=_SILENCE,
)
async def prompt_in_fragments(trial: Trial) -> None:
    async with trial.call() as call:
        since = call.position
        text = f'{{"type":"prompt","voicePrompt":"{call.say}","lang":"en-US","last":true}}'.encode()
        await call.send_raw([text[:9], text[9:30], text[30:]])
        await call.answer(since)


def _partials(call: WireCall) -> list[dict[str, Any]]:
    """What is recognised of a prompt, more and more of it."""
    words = call.say.split()
    heard = [" ".join(words[: count + 1]) for count in range(min(3, len(words)))]
    return [{"type": "prompt", "voicePrompt": text, "lang": "en-US", "last": False} for text in heard]


@case(
    "partial-prompts",
    sends="three prompts with `last` false",
    holds="nothing is said to them",
    source="§2.1 prompt (`last:false` = partial); §8.18",
    heard="the agent answers half a sentence, and then again",
)
async def partial_prompts(trial: Trial) -> None:
    async with trial.call() as call:
        since = call.position
        await call.send(*_partials(call))
        await call.says_nothing(since)


@case(
    "partial-then-final",
    sends="partials, the last of them word for word the final prompt",
    holds="the final one is answered",
    source="§2.1 Flux + partials",
    heard=_SILENCE,
)
async def partial_then_final(trial: Trial) -> None:
    async with trial.call() as call:
        await call.send(*_partials(call))
        await call.prompt(last=False)
        await call.ask()


survives(
    "prompt-blank",
    {"type": "prompt", "voicePrompt": "", "lang": "en-US", "last": True},
    {"type": "prompt", "voicePrompt": "  ", "lang": "en-US", "last": True},
    sends="prompts without words",
    source="§7 Stale input (fragments)",
    heard="an answer to nothing, or the line breaks off",
    grade=Grade.ADVICE,
)
