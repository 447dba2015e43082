from datetime import UTC, datetime
from pathlib import Path

import pytest

from voice_app.handoff import Target, TargetError, choose, from_addresses, from_file

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("+15550100010", "number"),
        ("sip:desk@example.com", "sip"),
        ("client:anna", "client"),
        ("queue:support line", "queue"),
        ("workflow:WW" + "0" * 32, "workflow"),
        ("studio:FW" + "0" * 32, "studio"),
    ],
)
def test_an_address_tells_its_kind(address: str, kind: str) -> None:
    (target,) = from_addresses([address])
    assert target.kind == kind


@pytest.mark.parametrize(
    "address", ["", "5550100", "sip:nobody", "client:", "workflow:FW1", "<Dial>", "queue:<b>"]
)
def test_an_address_that_is_none_is_told_with_examples(address: str) -> None:
    with pytest.raises(TargetError, match=r"VOICE_APP_HANDOFF_TO: .*it should look like one of"):
        from_addresses([address])


def test_a_file_tells_who_when_and_for_what(tmp_path: Path) -> None:
    path = tmp_path / "handoff.toml"
    path.write_text(
        '[[target]]\nto = ["+15550100010", "client:anna"]\nreasons = ["billing"]\n'
        'hours = "Mo-Fr 09:00-18:00"\nzone = "Europe/Berlin"\nring_seconds = 10\n'
        '[[target]]\nto = "queue:support"\n'
    )
    billing, anybody = from_file(path)
    both = [billing, anybody]
    assert choose(both, "+15550100001", "billing", MONDAY) == both
    assert choose(both, "+15550100001", "billing", SUNDAY) == [anybody]
    assert choose(both, "+15550100001", "other", MONDAY) == [anybody]


def test_hours_are_those_of_the_zone() -> None:
    target = Target(to=("+15550100010",), hours="Mo-Fr 09:00-18:00", zone="America/Los_Angeles")
    assert not target.is_open(MONDAY)
    assert target.is_open(MONDAY.replace(hour=18))


def test_a_target_may_serve_some_numbers_only() -> None:
    target = Target(to=("+15550100010",), numbers=frozenset({"+15550100001"}))
    assert target.serves("+15550100001", "")
    assert not target.serves("+15550100002", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "is not TOML"),
        ("x = 1", "x is no key here: it has target"),
        ('[[targets]]\nto = "+15550100010"', "targets is no key here: did you mean target"),
        ('[target]\nto = "+15550100010"', r"\[\[target\]\] tables"),
        ("[[target]]\n", "target 1: to: it is missing"),
        ('[[target]]\nto = "nobody"', "'nobody' is no target"),
        ('[[target]]\nto = ["queue:a", "queue:b"]', "stands alone"),
        ('[[target]]\nto = ["queue:a", "client:b"]', "only phones"),
        ('[[target]]\nto = "+15550100010"\nhours = "sometimes"', "hours 'sometimes' cannot be read"),
        ('[[target]]\nto = "+15550100010"\nhours = "24/7"\nzone = "Mars"', "'Mars' is no time zone"),
        (
            '[[target]]\nto = "+15550100010"\nring = 1',
            "1: ring is no key here: did you mean ring_seconds",
        ),
    ],
)
def test_a_bad_file_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "handoff.toml"
    path.write_text(text)
    with pytest.raises(TargetError, match=told):
        from_file(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be read"):
        from_file(tmp_path / "nowhere.toml")
