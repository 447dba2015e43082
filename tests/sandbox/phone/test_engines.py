"""The timeline of speech-to-text engines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice_app.sandbox.phone.engines import EngineTimeline, SttEngine


@given(st.lists(st.booleans(), max_size=30))
def test_there_is_an_overlap_for_every_engine_that_was_running_when_another_started(
    steps: list[bool],
) -> None:
    """True starts an engine, False stops the oldest that runs."""
    problems: list[str] = []
    engines = EngineTimeline(problems.append)
    running: list[SttEngine] = []
    expected = 0
    for number, starts in enumerate(steps):
        if starts:
            expected += len(running)
            running.append(engines.start(f"engine {number}"))
        elif running:
            engines.stop(running.pop(0))
        assert engines.running == running
    assert len(engines.overlaps) == len(problems) == expected
    assert all(problem.startswith("STT104: ") for problem in problems)
    assert [engine.stopped is None for engine in engines.engines].count(True) == len(running)


def test_an_engine_that_is_stopped_twice_keeps_its_first_end() -> None:
    engines = EngineTimeline(lambda text: None)
    with engines.listening("one"):
        pass
    (engine,) = engines.engines
    stopped = engine.stopped
    engines.stop(engine)
    assert engine.stopped == stopped
