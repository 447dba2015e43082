"""What rehearsals will cost, before they begin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voice_app.calls import PriceList, TokenCount, cost_of_tokens
from voice_app.findings import counted
from voice_app.testing.rehearsal_model import RehearsalModelSettings
from voice_app.testing.scenario import Scenario

TOKENS_OF_INSTRUCTIONS: Final = 500
TOKENS_OF_A_TURN: Final = 90
"""What is heard and done in it."""
TOKENS_OF_A_VERDICT: Final = 150


@dataclass(frozen=True, slots=True)
class ExpectedUse:
    """What the models of runs will take at the most, the agent's own aside; guessed."""

    runs: int
    tokens: int
    models: list[str]
    amount: float | None
    """`None`: the price of one is not known."""
    prices: PriceList

    def __str__(self) -> str:
        what = f"{counted(self.runs, 'run')}: up to about {self.tokens:,} tokens of {', '.join(self.models)}"
        if self.amount is None:
            return f"{what}, whose price is not known (VOICE_APP_PRICES)"
        ships = " that ship" if self.prices.shipped else ""
        return (
            f"{what}, {self.amount:.4f} {self.prices.currency} (prices of {self.prices.as_of}{ships}), the "
            "agent's own model aside"
        )


def expected_use(
    scenarios: Sequence[tuple[Scenario, int]],
    settings: RehearsalModelSettings,
    prices: PriceList,
    *,
    only_judged: bool = False,
) -> ExpectedUse:
    """Of scenarios with how often each is run. ``only_judged``: no persona calls."""
    used: defaultdict[str, TokenCount] = defaultdict(TokenCount)
    runs = 0
    for scenario, times in scenarios:
        persona, judging = _expected(scenario)
        persona = TokenCount() if only_judged else persona
        runs += times if persona.sent or judging.sent else 0
        for name, count in ((settings.model, persona), (settings.judge_model, judging)):
            used[name].sent += times * count.sent
            used[name].received += times * count.received
    asked = {name: count for name, count in used.items() if count.sent}
    amount = sum(cost_of_tokens(name, count, prices).amount for name, count in asked.items())
    known = asked.keys() <= prices.models.keys()
    tokens = sum(count.sent + count.received for count in asked.values())
    return ExpectedUse(runs, tokens, [*asked], amount if known else None, prices)


def _expected(scenario: Scenario) -> tuple[TokenCount, TokenCount]:
    """What one run takes to be played, and to be judged."""
    persona, judging = TokenCount(), TokenCount()
    turns = scenario.limits.turns if scenario.persona is not None else len(scenario.steps)
    if isinstance(scenario.persona, str):
        persona.sent = turns * TOKENS_OF_INSTRUCTIONS + turns * (turns + 1) // 2 * TOKENS_OF_A_TURN
        persona.received = turns * TOKENS_OF_A_TURN // 2
    if scenario.in_words:
        judging.sent = TOKENS_OF_INSTRUCTIONS + turns * TOKENS_OF_A_TURN
        judging.received = TOKENS_OF_A_VERDICT * len(scenario.in_words)
    return persona, judging
