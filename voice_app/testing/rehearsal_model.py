"""The model that plays callers and judges calls: asked for JSON of a given form, within what it may take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from voice_app.agents.chat import ChatSettings
from voice_app.agents.client import ModelAnswer, ModelClient
from voice_app.agents.failures import ModelError
from voice_app.agents.shapes import ChatEntry
from voice_app.agents.toolbox import ToolBox
from voice_app.calls import PriceList, TokenCount, cost_of_tokens
from voice_app.settings import ModelSettings, load_model_settings

FIRST_TOKEN_SECONDS: Final = 60.0
BETWEEN_TOKENS_SECONDS: Final = 30.0
CHARACTERS_OF_A_TOKEN: Final = 2
"""A request is taken to be twice as dear as it is in English: what may be spent is not to be exceeded."""
SETTING: Final = "VOICE_APP_REHEARSE_MODEL"

T = TypeVar("T")


class RehearsalModelError(Exception):
    """The model gave no answer that can be used. The text says which model, where, and what to do."""


class SpentError(Exception):
    """The next request could take more than there is. The text says of what; ``money`` whether of that."""

    def __init__(self, of: str, *, money: bool = False) -> None:
        super().__init__(f"the next request could take more than {of}")
        self.money = money


@dataclass(slots=True)
class RunAllowance:
    """What the models of a run may take, and have taken."""

    tokens: int
    prices: PriceList
    money: float | None = None
    """In the currency of the prices; `None`: whatever it costs."""
    others: Callable[[], float] = lambda: 0.0
    """What was spent beside it by now: by the agent's own model."""
    used: defaultdict[str, TokenCount] = field(default_factory=lambda: defaultdict(TokenCount))

    @property
    def cost(self) -> float:
        """What was spent of it."""
        return sum(cost_of_tokens(name, count, self.prices).amount for name, count in self.used.items())

    def ask_for(self, model: str, messages: list[ChatEntry], received: int) -> None:
        """Look whether a request may still be made, whose answer has ``received`` tokens at the most.

        Raises:
            SpentError: it could take more than there is.
        """
        sent = sum(len(entry["content"]) for entry in messages) // CHARACTERS_OF_A_TOKEN + 1
        taken = sum(count.sent + count.received for count in self.used.values())
        if taken + sent + received > self.tokens:
            raise SpentError(f"the {self.tokens} tokens of a run (limits: tokens)")
        if self.money is None:
            return
        next_one = cost_of_tokens(model, TokenCount(sent, received), self.prices).amount
        if self.cost + self.others() + next_one > self.money:
            raise SpentError("may be spent (--max-cost)", money=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalModelSettings:
    """Where the models are that play callers and judge calls."""

    model: str
    judge_model: str
    environment: ModelSettings = field(repr=False)
    """The settings of an agent `chat` at that endpoint."""

    @classmethod
    def load(cls) -> RehearsalModelSettings | None:
        """As the environment has them; `None` where it names no model. Raises `SettingsError`."""
        found = load_model_settings()
        if not found.rehearse_model:
            return None
        elsewhere = found.rehearse_base_url not in (None, found.openai_base_url)
        own: dict[str, Any] = {"openai_api_key": found.rehearse_api_key or found.openai_api_key}
        if elsewhere:  # a key is never sent to a host that it was not given for
            own = {
                "openai_base_url": found.rehearse_base_url,
                "openai_api_key": found.rehearse_api_key,
                "model_headers": {},
                "model_shape": (),
            }
        own |= {"fallback_model": None, "max_tokens": None}
        judge = found.rehearse_judge_model or found.rehearse_model
        return cls(model=found.rehearse_model, judge_model=judge, environment=found.model_copy(update=own))


class RehearsalModel:
    """One model at one endpoint, within an allowance."""

    def __init__(
        self,
        settings: ChatSettings,
        extra: dict[str, Any],
        allowance: RunAllowance,
        http: aiohttp.ClientSession,
    ) -> None:
        self.settings = settings
        self._extra = extra
        """Fields of the request that not all endpoints take; those of the settings."""
        self._allowance = allowance
        self._client = ModelClient(settings, ToolBox(()), http)

    async def ask(self, messages: list[ChatEntry], form: type[T] | Any, check: Callable[[T], str]) -> T:
        """An answer in a form of JSON in which ``check`` finds nothing wrong; else it is asked once more.

        Raises:
            RehearsalModelError: there is none.
            SpentError: there could be too little left for one.
        """
        wrong = ""
        for _ in range(2):
            text = await self._answer(messages)
            try:
                answer: T = msgspec.json.decode(_object_in(text), type=form)
                if not (wrong := check(answer)):
                    return answer
            except (msgspec.DecodeError, UnicodeError) as error:
                wrong = str(error)
            repair = f"That cannot be used: {wrong}. Answer again, with the JSON object alone."
            messages = [
                *messages,
                {"role": "assistant", "content": text},
                {"role": "user", "content": repair},
            ]
        where = self.settings.endpoints[0].where
        raise RehearsalModelError(
            f"{self.settings.model} at {where} did not answer in the form that it was asked for, "
            f"twice: {wrong}. Another model may ({SETTING})"
        )

    async def _answer(self, messages: list[ChatEntry]) -> str:
        self._allowance.ask_for(self.settings.model, messages, self.settings.max_tokens or 0)
        answer = ModelAnswer()
        try:
            async with aclosing(self._client.ask(lambda endpoint: messages, answer)) as words:
                return "".join([text async for text in words])
        except ModelError as error:
            if "seed" in error.refusal and self._extra:
                self._extra.clear()  # some endpoints know no seed
                return await self._answer(messages)
            told = str(error).replace("OPENAI_", "VOICE_APP_REHEARSE_")
            raise RehearsalModelError(f"the model of the rehearsal failed: {told}") from None
        finally:
            for used in answer.used:
                self._allowance.used[used.model].add(used)


@asynccontextmanager
async def open_model(
    settings: RehearsalModelSettings,
    model: str,
    allowance: RunAllowance,
    *,
    temperature: float,
    seed: int,
    max_tokens: int,
) -> AsyncIterator[RehearsalModel]:
    """A model, while the block runs."""
    extra = {"seed": seed}
    chat = ChatSettings(
        model=model,
        environment=settings.environment,
        temperature=temperature,
        max_tokens=max_tokens,
        first_token_deadline=FIRST_TOKEN_SECONDS,
        between_tokens_deadline=BETWEEN_TOKENS_SECONDS,
        extra=extra,
    )
    # A connection that is kept would have the virtual time of the line run like the real one.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        yield RehearsalModel(chat, extra, allowance, http)


def _object_in(text: str) -> str:
    """The JSON object in what a model has written, without the fence or the words around it."""
    return text[max(text.find("{"), 0) : text.rfind("}") + 1]
