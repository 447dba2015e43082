"""The simulated people of one run of a scenario: the persona that calls, and the judge behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import msgspec

from voice_app.calls import CallState, TokenCount, cost_of_tokens, price_list
from voice_app.journal.events import ModelUsed
from voice_app.settings import SettingsError, load
from voice_app.testing import judge, model_persona
from voice_app.testing.caller import Caller
from voice_app.testing.judge import CriterionVerdict, HeardCall
from voice_app.testing.persona import Persona, play
from voice_app.testing.rehearsal_model import (
    SETTING,
    RehearsalModelError,
    RehearsalModelSettings,
    RunAllowance,
    SpentError,
    open_model,
)
from voice_app.testing.scenario import Outcome, Scenario, ScriptedPersona, Variant
from voice_app.testing.scripted_persona import ScriptedCaller
from voice_app.twiml.templates import DEFAULT_LANGUAGE


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the persona and the judge of one run."""

    seed: int
    played_by: str = ""
    """The model that was the persona, or ``script``; empty: there was none."""
    temperature: float | None = None
    """Of that model."""
    ended: str = ""
    """Why the persona did nothing more; empty: there is none."""
    verdicts: list[CriterionVerdict] = []
    models: dict[str, int] = {}
    """The tokens that each model took, sent and received, the agent's among them."""
    cost: float = 0.0
    """What they cost, in the currency of the prices."""
    stopped: bool = False
    """It was broken off because of what may be spent: it says nothing of the agent."""
    error: str = ""
    """Why a model could not play, or judge."""

    @property
    def failure(self) -> str:
        """What went wrong, or which criterion was not met, and why; empty: all were."""
        if self.error:
            return self.error
        failed = [verdict for verdict in self.verdicts if verdict.fails]
        return "; ".join(f"{item.name}: {item.verdict}: {item.why}" for item in failed)


def model_settings(
    scenarios: Sequence[Scenario], *, only_judged: bool = False
) -> RehearsalModelSettings | None:
    """The models that play and judge them; `None` where none is needed, or there is none, and that will do.

    ``only_judged``: no persona calls.

    Raises:
        SettingsError: there is none, and it will not.
    """
    found = RehearsalModelSettings.load()
    for scenario in scenarios if found is None else ():
        if isinstance(scenario.persona, str) and not only_judged:
            raise SettingsError([f"{scenario.name}: its persona is played by a model: name one in {SETTING}"])
        if scenario.in_words and not _has_rules(scenario, only_judged=only_judged):
            raise SettingsError([f"{scenario.name}: words are judged by a model: name one in {SETTING}"])
    asked = any(
        (isinstance(scenario.persona, str) and not only_judged) or scenario.in_words for scenario in scenarios
    )
    return found if asked else None


def _has_rules(scenario: Scenario, *, only_judged: bool) -> bool:
    """Whether something tells without a model how a run went."""
    by_rules = any(isinstance(item, Outcome) for item in scenario.judged.values())
    return by_rules or (not only_judged and bool(scenario.steps or scenario.expect))


@dataclass
class Simulation:
    """The people of one run. ``money`` is what it may cost; without a caller a call is only judged."""

    variant: Variant
    caller: Caller | None
    attempt: int
    money: float | None = None

    def __post_init__(self) -> None:
        scenario = self.variant.scenario
        self.seed = scenario.seed + self.attempt - 1
        self.settings = model_settings([scenario], only_judged=self.caller is None)
        self.allowance = RunAllowance(
            scenario.limits.tokens, price_list(load()), self.money, self._spent_by_agent
        )
        self.played_by = ""
        self.temperature: float | None = None
        self.ended = ""
        self.error = ""
        self.stopped = False

    async def play(self) -> None:
        """Have the persona call, if there is one. Raises `CallFailure` where the phone cannot do that."""
        scenario = self.variant.scenario
        if scenario.persona is None or self.caller is None:
            return
        try:
            async with AsyncExitStack() as stack:
                persona = await self._persona(scenario.persona, self.caller, stack)
                self.ended = await play(persona, self.caller, scenario.limits)
        except SpentError as error:
            self.ended, self.stopped = f"it was stopped: {error}", error.money
            self.error = self.ended if error.money else ""
        except RehearsalModelError as error:
            self.ended = self.error = str(error)

    async def _persona(
        self, persona: str | ScriptedPersona, caller: Caller, stack: AsyncExitStack
    ) -> Persona:
        if isinstance(persona, ScriptedPersona):
            self.played_by = "script"
            return ScriptedCaller(persona, self.seed, self.variant.text)
        if self.settings is None:
            raise RehearsalModelError(f"no model plays the persona: name one in {SETTING}")
        scenario = self.variant.scenario
        self.played_by, self.temperature = self.settings.model, scenario.temperature
        model = await stack.enter_async_context(
            open_model(
                self.settings,
                self.settings.model,
                self.allowance,
                temperature=scenario.temperature,
                seed=self.seed,
                max_tokens=model_persona.MAX_TOKENS,
            )
        )
        language = self.variant.language or caller.line.settings.language or DEFAULT_LANGUAGE
        return model_persona.ModelCaller(model, persona, scenario.goal, language)

    async def judged(self, state: CallState) -> Simulated:
        """Judge the call."""
        verdicts: list[CriterionVerdict] = []
        if self.variant.scenario.judged and not self.error and not self.stopped:
            try:
                verdicts = await verdicts_on(state, self.variant, self.settings, self.allowance, self.seed)
            except SpentError as error:
                self.error, self.stopped = f"it was not judged: {error}", error.money
            except RehearsalModelError as error:
                self.error = str(error)
        return self.result(verdicts)

    def result(self, verdicts: Sequence[CriterionVerdict] = ()) -> Simulated:
        """What came of it, with what it took."""
        used = [*self.allowance.used.items(), *self._used_by_agent()]
        models: Counter[str] = Counter()
        for name, count in used:
            models[name] += count.sent + count.received
        return Simulated(
            seed=self.seed,
            played_by=self.played_by,
            temperature=self.temperature,
            ended=self.ended,
            verdicts=list(verdicts),
            models=models,
            cost=self.allowance.cost + self._spent_by_agent(),
            stopped=self.stopped,
            error=self.error,
        )

    def _used_by_agent(self) -> list[tuple[str, TokenCount]]:
        events = [] if self.caller is None else self.caller.events
        used = [event for event in events if isinstance(event, ModelUsed)]
        return [(event.model, TokenCount(event.sent, event.received, event.cached)) for event in used]

    def _spent_by_agent(self) -> float:
        prices = self.allowance.prices
        return sum(cost_of_tokens(name, count, prices).amount for name, count in self._used_by_agent())


async def verdicts_on(
    state: CallState,
    variant: Variant,
    settings: RehearsalModelSettings | None,
    allowance: RunAllowance,
    seed: int,
) -> list[CriterionVerdict]:
    """What the judges say of a call, in the order of the criteria.

    Raises:
        RehearsalModelError: the model that judges gave no verdicts.
        SpentError: it was not to be asked any more.
    """
    scenario, call = variant.scenario, HeardCall(state)
    found = {
        name: judge.by_rules(variant, name, wanted, call)
        for name, wanted in scenario.judged.items()
        if isinstance(wanted, Outcome)
    }
    if settings is None:
        why = f"there is no model to judge words: name one in {SETTING}"
        unjudged = [
            CriterionVerdict(name=name, verdict="not judged", by="", why=why) for name in scenario.in_words
        ]
        found |= {verdict.name: verdict for verdict in unjudged}
    elif scenario.in_words:
        judging = open_model(
            settings,
            settings.judge_model,
            allowance,
            temperature=judge.TEMPERATURE,
            seed=seed,
            max_tokens=judge.MAX_TOKENS,
        )
        async with judging as model:
            told = await judge.by_model(model, scenario.in_words, scenario.goal, call)
        found |= {verdict.name: verdict for verdict in told}
    return [found[name] for name in scenario.judged]
