"""What a call cost: minutes, tokens and runs, as far as the journal tells, against a list of prices.

Twilio's own price of a call counts where it is known (`Priced`); everything else is an estimate by the list.
Minutes are those that were begun, of each leg, session, transcription and recording, as they are billed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from voice_app.calls.handoff import HandoffState, HandoffStep
from voice_app.calls.sessions import SessionRecord
from voice_app.calls.state import CallState, TokenCount
from voice_app.journal.events import Analysed, Closed, HandedOff, Priced, Transcription, Voicemail
from voice_app.settings import Settings, SettingsError, TomlError, read_toml

SHIPPED: Final = Path(__file__).with_name("prices.toml")
TOKENS_OF_A_PRICE: Final = 1_000_000
"""A model's price is for so many tokens."""
SETTING: Final = "VOICE_APP_PRICES"
Source: TypeAlias = Literal["list", "settings", "twilio"]
"""Whose price it is: of the list, of the settings, or what Twilio has charged."""
_Price = Annotated[float, msgspec.Meta(ge=0, le=10_000)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class MinutePrices(_Table, frozen=True):
    """Of a minute."""

    inbound: _Price
    outbound: _Price
    relay: _Price
    transcription: _Price
    number: _Price
    client: _Price
    sip: _Price
    whatsapp: _Price
    recording: _Price
    recording_transcript: _Price


class OtherPrices(_Table, frozen=True):
    """Of one."""

    operator: _Price


class TokenPrices(_Table, frozen=True):
    """Of a million tokens."""

    sent: _Price
    received: _Price
    cached: _Price | None = None
    """Of those that were sent and that the endpoint had cached; None: as all that are sent."""


class PriceList(_Table, frozen=True):
    """What things cost."""

    as_of: str
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    minutes: MinutePrices
    each: OtherPrices
    models: dict[str, TokenPrices] = {}
    own_models: frozenset[str] = frozenset()
    """The models whose price the settings tell."""
    shipped: bool = False
    """Whether these are the defaults: nobody has said that they are right."""


class CostLine(msgspec.Struct, frozen=True):
    """One thing that was paid for."""

    what: str
    """``call``, ``relay``, ``transcription``, ``leg`` …, or the name of a model."""
    quantity: float
    unit: Literal["minutes", "runs", "tokens"]
    amount: float
    source: Source = "list"
    estimated: bool = False
    """Whether the quantity is a guess: the endpoint has counted no tokens."""


class CallCost(msgspec.Struct, frozen=True):
    """What a call cost."""

    currency: str
    total: float
    lines: list[CostLine]
    second_engine: float
    """What a second speech-to-text would have cost, that had listened wherever one did. It did not."""
    prices_as_of: str
    shipped_prices: bool
    """Whether the prices are those that ship, and not anybody's own."""


def price_list(settings: Settings) -> PriceList:
    """The prices that the settings name, over those that ship. Raises `SettingsError`."""
    found = _shipped() if settings.prices is None else _read(settings.prices)
    own = {
        model: TokenPrices(sent=price[0], received=price[1], cached=price[2] if len(price) > 2 else None)
        for model, price in (
            (settings.model, settings.model_price),
            (settings.fallback_model, settings.fallback_price),
        )
        if model and price
    }
    return msgspec.structs.replace(found, models={**found.models, **own}, own_models=frozenset(own))


@cache
def _shipped() -> PriceList:
    return msgspec.convert({**read_toml(SHIPPED), "shipped": True}, PriceList)


def _read(path: Path) -> PriceList:
    """A list of somebody's own: what it leaves out is as shipped."""
    try:
        given = read_toml(path)
        known = {name for name in PriceList.__struct_fields__ if name not in ("shipped", "own_models")}
        if unknown := sorted(given.keys() - known):
            raise SettingsError([f"{SETTING}: {path}: {unknown[0]} is none of {', '.join(sorted(known))}"])
        merged: dict[str, Any] = {**read_toml(SHIPPED), "as_of": path.name}
        for name, value in given.items():
            merged[name] = {**merged[name], **value} if isinstance(value, dict) else value
        return msgspec.convert(merged, PriceList)
    except (TomlError, msgspec.ValidationError) as error:
        raise SettingsError([f"{SETTING}: {path}: {error}".replace(f"{path}: {path}", str(path))]) from None


def cost_of(state: CallState, prices: PriceList) -> CallCost:
    """What a call has cost so far, by the events that its fold has taken."""
    lines = [line for line in _lines(state, prices) if line.quantity]
    heard = sum(line.quantity for line in lines if line.what in ("relay", "transcription"))
    return CallCost(
        currency=prices.currency,
        total=sum(line.amount for line in lines),
        lines=lines,
        second_engine=heard * prices.minutes.transcription,
        prices_as_of=prices.as_of,
        shipped_prices=prices.shipped,
    )


def _lines(state: CallState, prices: PriceList) -> Iterator[CostLine]:
    minutes, over = prices.minutes, state.ended_at or state.last_at
    yield _call(state, prices)
    yield _minutes("relay", [_session_seconds(item, over) for item in state.sessions], minutes.relay)
    yield _minutes("transcription", list(_transcriptions(state, over)), minutes.transcription)
    for kind, seconds in _legs(state, over):
        yield _minutes(f"leg to {kind}", [seconds], getattr(minutes, kind))
    recorded = {item.recording_sid: item for item in state.events(Voicemail) if item.duration_s}
    lengths = [item.duration_s or 0.0 for item in recorded.values()]
    yield _minutes("recording", lengths, minutes.recording)
    written = {item.recording_sid for item in state.events(Voicemail) if item.transcription == "completed"}
    lengths = [item.duration_s or 0.0 for sid, item in recorded.items() if sid in written]
    yield _minutes("recording transcript", lengths, minutes.recording_transcript)
    runs = len({item.result_id or str(number) for number, item in enumerate(state.events(Analysed))})
    yield CostLine("operator", runs, "runs", runs * prices.each.operator)
    for model, used in state.tokens.items():
        yield cost_of_tokens(model, used, prices)


def _call(state: CallState, prices: PriceList) -> CostLine:
    """The call itself. Twilio's price of it counts, if it is in the same currency."""
    told = [event.duration_s for event in state.events(Closed) if event.duration_s is not None]
    length = told[-1] if told else (state.ended_at or state.last_at) - (state.began_at or 0.0)
    price = prices.minutes.outbound if state.parties.outbound else prices.minutes.inbound
    line = _minutes("call", [length], price)
    charged = state.last(Priced)
    if charged is None or charged.currency != prices.currency:
        return line
    return msgspec.structs.replace(line, amount=charged.amount, source="twilio")


def _minutes(what: str, seconds: Sequence[float], price: float) -> CostLine:
    minutes = sum(math.ceil(item / 60) for item in seconds if item > 0)
    return CostLine(what, minutes, "minutes", minutes * price)


def _session_seconds(session: SessionRecord, over: float) -> float:
    """How long Twilio listened and spoke for one session; 0 if it never began."""
    if not session.connected:
        return 0.0
    seconds = session.duration_s
    return max(1.0, (session.ended_at or over) - session.at if seconds is None else seconds)


def _transcriptions(state: CallState, over: float) -> Iterator[float]:
    """How long each ``<Transcription>`` ran, in seconds."""
    began: dict[str, float] = {}
    for at, event in state.timed(Transcription):
        if event.state == "started":
            began.setdefault(event.transcription_sid, at)
        elif event.state in ("stopped", "error") and event.transcription_sid in began:
            yield at - began.pop(event.transcription_sid)
    yield from (over - at for at in began.values())


def _legs(state: CallState, over: float) -> Iterator[tuple[str, float]]:
    """What was dialled, and for how many seconds a person was on that leg, from their taking the call."""
    target, talking = "", None
    for at, event in state.timed(HandedOff):
        if event.step == HandoffStep.RANG:
            target = event.target
        elif event.step == HandoffStep.ACCEPTED:
            talking = at
        elif talking is not None:
            yield _kind(target), at - talking
            talking = None
    if talking is not None and state.handoff.state is HandoffState.TALKING:
        yield _kind(target), over - talking


def _kind(target: str) -> str:
    """By which price a target is dialled: a conference by who is rung into it, a queue costs as a client."""
    scheme = target.removeprefix("conference:").partition(":")[0]
    return {"client": "client", "sip": "sip", "sips": "sip", "queue": "client", "whatsapp": "whatsapp"}.get(
        scheme, "number"
    )


def cost_of_tokens(model: str, used: TokenCount, prices: PriceList) -> CostLine:
    """What a model has cost; one without a price is told with what it used, and costs nothing we know of."""
    price = prices.models.get(model)
    amount = 0.0
    if price is not None:
        of_cached = price.sent if price.cached is None else price.cached
        fresh = used.sent - used.cached
        amount = fresh * price.sent + used.received * price.received + used.cached * of_cached
    source: Source = "settings" if model in prices.own_models else "list"
    quantity = used.sent + used.received
    return CostLine(model, quantity, "tokens", amount / TOKENS_OF_A_PRICE, source, used.estimated)
