"""What a chaos run has to prove: pure functions of the run, which give a line for each breach."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Final

from support.chaos.story import CallStory, ChaosRun, Sample, asked_about

LONGEST_SILENCE: Final = 2.0
"""Seconds that a caller waits in mid-call before it needs an explanation."""
DURABLE_SECONDS: Final = 1.0
"""What was said this long before a line broke may be lost with it: it may never have reached the server."""
KNOWN_SECONDS: Final = 15.0
"""So long after a database is back, an agent knows what was said on a call that another server had."""
MORE_DESCRIPTORS: Final = 40
"""What a server may keep open after its calls: connections to the model, Twilio and the database."""
MORE_TASKS: Final = 12
MORE_MEMORY: Final = 1.25
MORE_KIB: Final = 20_000
"""A process that has lived for `GROWN_SECONDS` may not grow by more than both from then on."""
GROWN_SECONDS: Final = 60.0
_POLITE: Final = frozenset({"goodbye", "person", "message", "apology"})
_REPORTS: Final = frozenset({"notified", "cost", "session-ended"})
"""What is told of a call from outside, to whichever server, before that has read anything of it."""
_MEASURED_BETTER: Final = re.compile(r"a token came \d+ ms after an interruption")
"""The phone guesses by the clock, which a busy machine proves wrong; `CallStory.stale` is exact."""


@dataclass(slots=True, frozen=True)
class Proof:
    """A promise, and what came of it."""

    promise: str
    seen: str
    """What it was proved with."""
    breaches: list[str]


def all_proofs(run: ChaosRun) -> list[Proof]:
    """Every promise, in the order of the table."""
    calls = len(run.calls)
    resumed = sum(max(0, len(story.sessions) - 1) for story in run.calls)
    rows = sum(map(len, run.journal.values()))
    silences = sum(len(story.silences) for story in run.calls)
    return [
        Proof(
            "every call ended politely or was resumed",
            f"{calls} calls, {resumed} resumed",
            [*_each(run, impolite), *_each(run, troubled)],
        ),
        Proof("every event once and in order", f"{rows} events", [*_each(run, misplaced), *lost(run)]),
        Proof(
            "nothing forgotten, nobody mixed up",
            f"{questions(run)} questions",
            [*forgotten(run), *mixed(run)],
        ),
        Proof(
            "zero stale words after an interrupt",
            f"{sum(story.interrupts for story in run.calls)} interrupts",
            [f"{story.call_sid}: {' '.join(story.stale)}" for story in run.calls if story.stale],
        ),
        Proof(
            "never two engines on a call",
            f"{calls} calls",
            [f"{story.call_sid}: {two}" for story in run.calls for two in story.overlaps],
        ),
        Proof(
            f"every silence over {LONGEST_SILENCE:g} s explained",
            f"{silences} silences",
            [*_each(run, unexplained)],
        ),
        Proof(
            "descriptors, tasks and memory flat",
            f"{len({sample.pid for sample in run.samples})} processes",
            [*grown(run.samples)],
        ),
    ]


def questions(run: ChaosRun) -> int:
    """How many were asked."""
    return sum(len(story.said) for story in run.calls)


def impolite(run: ChaosRun, story: CallStory) -> Iterator[str]:
    """The call ended, and nobody said goodbye."""
    if story.ending not in _POLITE:
        yield f"it ended {story.ended - story.began:.1f} s after it began: {story.ending or 'it did not end'}"


def troubled(run: ChaosRun, story: CallStory) -> Iterator[str]:
    """The phone complains: of an error that Twilio would read out, or of a crash that was not ours."""
    for at, problem in story.problems:
        if _MEASURED_BETTER.search(problem):
            continue
        # What a killed server did last on a call may be known to nobody until it is started again.
        times = [at, *(broke for broke in story.breaks if broke < at)]
        faults = [
            fault for fault in run.faults if any(fault.meets(time - fault.deaf, time) for time in times)
        ]
        if any(re.search(fault.excuses or "$^", problem) for fault in faults):
            continue
        yield problem


def misplaced(run: ChaosRun, story: CallStory) -> Iterator[str]:
    """What the caller said is not in the journal once and in order, or an entry is there twice."""
    rows = run.journal.get(story.call_sid)
    if not rows:
        yield "the journal does not know the call"
        return
    if len({row.id for row in rows}) != len(rows) or [row.id for row in rows] != sorted(
        row.id for row in rows
    ):
        yield "entries are there twice, or out of order"
    turned_away = story.ending == "apology" and not story.sessions  # by nginx, perhaps: we never heard of it
    unread = _lost_from_sight(run, story, story.began)  # who could not read, did not know what to follow
    rows = [row for row in rows if row.kind not in _REPORTS]
    begun = rows[0].kind == "opened"
    ended = any(row.kind == "closed" for row in rows) or _died_with_it(run, story.ended)
    if not (turned_away or unread or (begun and ended)):
        yield f"it begins with {rows[0].kind!r} and ends with {rows[-1].kind!r}"
    if again := [once for once, times in Counter(row.once for row in rows if row.once).items() if times > 1]:
        yield f"there twice: {again}"
    kept = [row.text for row in rows if row.kind == "prompt"]
    said = [text for _, text in story.said]
    if twice := [text for text, times in Counter(kept).items() if times > 1]:
        yield f"kept twice: {twice}"
    if made_up := [text for text in kept if text not in said]:
        yield f"kept, and never said: {made_up}"
    if missing := [text for at, text in story.said if text not in kept and not _at_a_break(run, story, at)]:
        yield f"said, and not kept: {missing}"
    if [text for text in said if text in kept] != [text for text in kept if text in said]:
        yield f"not in order: {kept}"


def lost(run: ChaosRun) -> Iterator[str]:
    """A server had to give entries up."""
    for pid, samples in _by_process(run.samples).items():
        if most := max(sample.lost for sample in samples):
            yield f"process {pid} has lost {most} entries"


def forgotten(run: ChaosRun) -> Iterator[str]:
    """The model was not told of an earlier question."""
    stories = {story.caller: story for story in run.calls}
    told = set()
    for when, caller, number in run.forgotten:
        if (story := stories.get(caller)) is None or (caller, number) in told:
            continue
        times = [at for at, text in story.said if (caller, number) in asked_about(text)]
        if not any(_at_a_break(run, story, at) or _lost_from_sight(run, story, at, when) for at in times):
            told.add((caller, number))
            yield f"{story.call_sid}: question {number} was forgotten"


def mixed(run: ChaosRun) -> Iterator[str]:
    """Callers got to hear what is not theirs."""
    yield from run.mixed
    for story in run.calls:
        yield from (f"{story.call_sid}: {what}" for what in story.strange)


def unexplained(run: ChaosRun, story: CallStory) -> Iterator[str]:
    """A caller waited, and no fault that was in force explains so long a silence."""
    for silence in story.silences:
        began, ended = silence.began, silence.ended
        # What a fault has begun goes on for a while: a request to a model, a start, a look at a database.
        met = [fault for fault in run.faults if fault.meets(began - fault.explains, ended)]
        explained = sum(fault.explains for fault in met)
        explained += 2 * _late(run, began, ended)  # an answer comes through us twice: we are the model, too
        if silence.seconds > LONGEST_SILENCE + explained:
            yield f"{silence.seconds:.1f} s of silence, {began - story.began:.1f} s into the call"


def grown(samples: list[Sample]) -> Iterator[str]:
    """A server keeps what its calls have left behind."""
    fresh = {sample.server: sample for sample in reversed(samples)}
    outlived = {sample.server: sample.pid for sample in samples}
    for pid, own in _by_process(samples).items():
        first, last = fresh[own[0].server], own[-1]
        who = f"{last.server}, process {pid}"
        if pid == outlived[last.server]:
            if last.descriptors > first.descriptors + MORE_DESCRIPTORS:
                yield f"{who}: {first.descriptors} descriptors became {last.descriptors}"
            if last.tasks > first.tasks + MORE_TASKS:
                yield f"{who}: {first.tasks} tasks became {last.tasks}"
        grown_up = [sample.kib for sample in own if sample.at - own[0].at > GROWN_SECONDS]
        if len(grown_up) >= 20:
            part = len(grown_up) // 4
            before, after = median(grown_up[:part]), median(grown_up[-part:])
            if after > max(before * MORE_MEMORY, before + MORE_KIB):
                yield f"{who}: {before:.0f} KiB became {after:.0f}"


def _each(run: ChaosRun, check: Callable[[ChaosRun, CallStory], Iterable[str]]) -> Iterator[str]:
    for story in run.calls:
        yield from (f"{story.call_sid}: {line}" for line in check(run, story))


def _at_a_break(run: ChaosRun, story: CallStory, at: float) -> bool:
    """Whether the line broke, or ended, so soon after something was said that it may be lost with it.

    A server that stops loses nothing: what is on its way as it gives calls away it still reads.
    """
    for broke in [*story.breaks, story.ended]:
        deaf = max((fault.deaf for fault in run.faults if fault.meets(at, broke)), default=0.0)
        within = deaf + _late(run, at, broke)
        if within and -DURABLE_SECONDS <= broke - at <= DURABLE_SECONDS + within:
            return True
    return False


def _died_with_it(run: ChaosRun, at: float) -> bool:
    """Whether a server was killed so soon after it was told something that this may be lost with it."""
    for killed in (fault for fault in run.faults if fault.kills):
        others = (fault for fault in run.faults if fault is not killed and fault.meets(at, killed.began))
        deaf = max((fault.deaf for fault in others), default=0.0)
        if 0 <= killed.began - at <= DURABLE_SECONDS + deaf + _late(run, at, killed.began):
            return True
    return False


def _lost_from_sight(run: ChaosRun, story: CallStory, at: float, until: float = inf) -> bool:
    """Whether the call was taken up later, while nobody could be asked what had been said, nor since then."""
    blind = [fault for fault in run.faults if fault.blind and until < fault.ended + KNOWN_SECONDS]
    return any(since > at and any(fault.meets(since, since) for fault in blind) for since in story.sessions)


def _late(run: ChaosRun, began: float, ended: float) -> float:
    """How long this machine had no time for us meanwhile: nobody knows what it had for the servers."""
    return sum(span.seconds for span in run.late if span.began <= ended and began <= span.ended)


def _by_process(samples: list[Sample]) -> dict[int, list[Sample]]:
    found: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.pid].append(sample)
    return found
