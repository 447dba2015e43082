"""What a call cost, by what its journal tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls import CallCost, CallState, PriceList, cost_of, price_list
from voice_app.journal import Entry
from voice_app.journal.events import (
    Analysed,
    Closed,
    Connected,
    Event,
    HandedOff,
    ModelUsed,
    Opened,
    Priced,
    SessionEnded,
    Transcription,
    Voicemail,
)
from voice_app.settings import Settings, SettingsError

CALL = "CA" + "7" * 32
PRICES = price_list(Settings())


def cost(*told: tuple[float, Event], prices: PriceList = PRICES) -> CallCost:
    """Of a call on which these events were written at these seconds."""
    entries = [Entry(f"{n:036}", 1000.0 + at, CALL, event) for n, (at, event) in enumerate(told)]
    return cost_of(CallState.of(entries), prices)


def amounts(found: CallCost) -> dict[str, tuple[float, float]]:
    return {line.what: (line.quantity, round(line.amount, 6)) for line in found.lines}


def test_a_call_with_the_agent_costs_the_call_the_session_and_the_tokens() -> None:
    found = cost(
        (0, Opened("+15550100002", "+15550100001", "inbound")),
        (1, Connected("VX1")),
        (30, ModelUsed("gpt-4o-mini", 1000, 200, 400)),
        (60, ModelUsed("gpt-4o-mini", 1000, 200)),
        (130, SessionEnded("VX1", "completed", 125.0)),
        (131, Closed("completed", 131.0)),
    )
    assert amounts(found) == {
        "call": (3, 0.0255),
        "relay": (3, 0.21),
        "gpt-4o-mini": (2400, 0.00051),
    }
    assert found.total == pytest.approx(0.23601)
    assert found.second_engine == pytest.approx(3 * 0.027)
    assert (found.currency, found.shipped_prices) == ("USD", True)


def test_each_leg_session_and_transcription_is_billed_by_the_minute_that_was_begun() -> None:
    found = cost(
        (0, Opened("+15550100002", "+15550100001", "inbound")),
        (1, Connected("VX1")),
        (10, SessionEnded("VX1", "ended", 9.0)),
        (10, HandedOff("requested", "billing")),
        (11, Transcription("GT1", "started")),
        (11, HandedOff("rang", target="client:anna", attempt=1)),
        (41, HandedOff("no-answer")),
        (41, HandedOff("rang", target="conference:+15550100010", attempt=2)),
        (51, HandedOff("accepted")),
        (151, HandedOff("finished")),
        (152, Transcription("GT1", "stopped")),
        (153, Closed("completed")),
    )
    assert amounts(found) == {
        "call": (3, 0.0255),
        "relay": (1, 0.07),
        "transcription": (3, 0.081),
        "leg to number": (2, 0.028),
    }


def test_what_nobody_ended_goes_on_to_the_end_of_the_call() -> None:
    found = cost(
        (0, Opened("+15550100002", "+15550100001", "outbound-api")),
        (0, HandedOff("requested")),
        (0, Transcription("GT1", "started")),
        (0, HandedOff("rang", target="sip:a@b.example", attempt=1)),
        (0, HandedOff("accepted")),
        (61, Closed("completed")),
    )
    assert amounts(found) == {
        "call": (2, 0.028),
        "transcription": (2, 0.054),
        "leg to sip": (2, 0.008),
    }


def test_messages_and_runs_are_counted_once_however_often_they_are_told() -> None:
    found = cost(
        (0, Voicemail("RE1", "u", 61.0)),
        (1, Voicemail("RE1", duration_s=61.0)),
        (2, Voicemail("RE1", text="Hi.", transcription="completed")),
        (3, Analysed("op1", "x", "r1")),
        (4, Analysed("op1", "x", "r1")),
        (5, Analysed("op2", "y", "r2")),
    )
    assert amounts(found)["recording"] == (2, 0.005)
    assert amounts(found)["recording transcript"] == (2, 0.1)
    assert amounts(found)["operator"] == (2, 0.007)


def test_twilio_s_own_price_takes_the_place_of_the_estimate() -> None:
    (line,) = cost((0, Opened()), (60, Closed("completed", 60)), (90, Priced(0.02, "USD"))).lines
    assert (line.amount, line.source) == (0.02, "twilio")
    (line,) = cost((0, Opened()), (60, Closed("completed", 60)), (90, Priced(0.02, "EUR"))).lines
    assert (line.amount, line.source) == (0.0085, "list")


def test_a_model_without_a_price_is_told_and_costs_nothing_that_we_know_of() -> None:
    (line,) = cost((0, ModelUsed("mine", 100, 10, estimated=True))).lines
    assert (line.quantity, line.amount, line.estimated) == (110, 0.0, True)


def test_the_settings_price_of_a_model_comes_first() -> None:
    prices = price_list(Settings(model="gpt-4o-mini", model_price=(10.0, 20.0)))
    (line,) = cost((0, ModelUsed("gpt-4o-mini", 1_000_000, 1_000_000, 500_000)), prices=prices).lines
    assert (line.amount, line.source) == (30.0, "settings")


def listed(folder: Path, text: str) -> PriceList:
    path = folder / "prices.toml"
    path.write_text(text, "utf-8")
    return price_list(Settings(prices=path))


def test_a_list_of_ones_own_needs_only_what_differs(tmp_path: Path) -> None:
    prices = listed(
        tmp_path, 'currency = "EUR"\n[minutes]\nrelay = 0.05\n[models.m]\nsent = 1\nreceived = 2\n'
    )
    assert (prices.currency, prices.minutes.relay, prices.minutes.sip) == ("EUR", 0.05, PRICES.minutes.sip)
    assert (prices.models["m"].received, prices.shipped, prices.as_of) == (2.0, False, "prices.toml")


@pytest.mark.parametrize(
    "text",
    [
        "[minutes]\nrelay = -1\n",
        '[minutes]\nrelay = "x"\n',
        "[minutes]\nrely = 1\n",
        "minutes = 3\n",
        "[hours]\n",
        'currency = "euros"\n',
        "shipped = true\n",
        "[models.m]\nsent = 1\n",
        "=",
    ],
)
def test_what_is_wrong_in_it_is_said_with_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^VOICE_APP_PRICES: .*prices\.toml"):
        listed(tmp_path, text)
    with pytest.raises(SettingsError, match=r"VOICE_APP_PRICES: .*missing\.toml"):
        price_list(Settings(prices=tmp_path / "missing.toml"))


MOMENTS = st.floats(0, 1e5)
HAPPENED: list[Any] = [
    st.builds(Connected, st.sampled_from(["VX1", "VX2"])),
    st.builds(SessionEnded, st.sampled_from(["VX1", "VX2"]), st.just("failed")),
    st.builds(HandedOff, st.sampled_from(["requested", "rang", "accepted", "finished", "failed"])),
    st.builds(Transcription, st.sampled_from(["GT1", "GT2"]), st.sampled_from(["started", "stopped"])),
    st.builds(Closed, st.just("completed")),
]


@given(st.lists(st.tuples(MOMENTS, st.one_of(HAPPENED))))
def test_nothing_ever_costs_less_than_nothing(happened: list[tuple[float, Event]]) -> None:
    found = cost(*happened)
    assert all(line.quantity > 0 <= line.amount for line in found.lines)
    assert found.total == pytest.approx(sum(line.amount for line in found.lines))
