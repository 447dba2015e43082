"""Whatever is edited, in whatever order: a configuration that hears our calls is refused."""

from __future__ import annotations

from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from support.accounts import NUMBER, OTHER_NUMBER, OURS, PERSON, THEIRS, VOICE, configuration, snapshot
from support.accounts import rule as capture
from voice_app.guard import judge
from voice_app.guard.check import Verdict, verdict
from voice_app.guard.matching import without_voice
from voice_app.guard.repair import repairs

HEARS = [
    *(capture("*", "*"), capture("*", NUMBER), capture(NUMBER, "*"), capture(PERSON, NUMBER)),
    *(capture("*", "+1 (555) 010-0001"), capture("*", NUMBER, None)),
]
DOES_NOT = [
    *(capture("*", OTHER_NUMBER), capture(OTHER_NUMBER, "*"), capture(PERSON, OTHER_NUMBER)),
    capture("*", "client:anna", "CLIENT"),
]
CHANNELS = st.sampled_from(["VOICE", "SMS", "CHAT"])


class Account(RuleBasedStateMachine):
    """Two configurations, ours and another team's, and people who edit both."""

    kept = Bundle("kept")

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, str, dict[str, Any]]] = []
        self.described = ""

    @rule(target=kept, at=st.sampled_from([OURS, THEIRS]), channel=CHANNELS, item=st.sampled_from(HEARS))
    def add_one_that_hears(self, at: str, channel: str, item: dict[str, Any]) -> tuple[str, str, Any]:
        return self.add(at, channel, item)

    @rule(target=kept, channel=CHANNELS, item=st.sampled_from(DOES_NOT))
    def add_one_that_does_not(self, channel: str, item: dict[str, Any]) -> tuple[str, str, Any]:
        return self.add(THEIRS, channel, item)

    def add(self, at: str, channel: str, item: dict[str, Any]) -> tuple[str, str, Any]:
        self.written.append((at, channel, item))
        return at, channel, item

    @rule(gone=consumes(kept))
    def remove(self, gone: tuple[str, str, Any]) -> None:
        if gone in self.written:
            self.written.remove(gone)

    @rule(text=st.text(max_size=5))
    def edit_something_else(self, text: str) -> None:
        self.described = text

    @rule()
    def repair_ours(self) -> None:
        """What `check --fix` writes: nothing captures voice then, and nothing else has changed."""
        for repair in repairs(self.seen):
            assert repair.configuration.id == OURS
            after = repair.configuration.raw | without_voice(repair.configuration)
            assert after["channelSettings"]["VOICE"]["captureRules"] == []
            assert after["description"] == self.described
        self.written = [item for item in self.written if (item[0], item[1]) != (OURS, "VOICE")]
        assert repairs(self.seen) == []

    def configuration(self, at: str) -> Any:
        channels: dict[str, Any] = {"VOICE": VOICE}
        for place, channel, item in self.written:
            if place == at:
                so_far = channels.get(channel, VOICE)
                channels[channel] = {**so_far, "captureRules": [*so_far["captureRules"], item]}
        return configuration(at, channelSettings=channels, description=self.described)

    @property
    def seen(self) -> Any:
        ours = self.configuration(OURS)
        return snapshot(ours, configurations=(ours, self.configuration(THEIRS)))

    @invariant()
    def a_second_engine_is_refused(self) -> None:
        listening = [item for _, channel, item in self.written if channel == "VOICE" and item in HEARS]
        refused = verdict(judge(self.seen)) is Verdict.REFUSED
        assert refused >= bool(listening), (listening, judge(self.seen))

    @invariant()
    def nothing_is_refused_for_nothing(self) -> None:
        if not any(channel == "VOICE" for _, channel, _ in self.written):
            assert verdict(judge(self.seen)) is not Verdict.REFUSED


Account.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=15)
TestAccount = Account.TestCase
