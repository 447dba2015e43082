"""``voice-app explain``, from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import voice_app
from voice_app import guard, twiml


async def test_a_rule_is_told_in_full(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "explain", "stt101")
    rule = guard.RULES["STT101"]
    assert result.code == 0, result.err
    for part in (
        f"STT101 (error): {rule.title}",
        f"Why: {rule.why}",
        f"Fix: {rule.fix}",
        "cannot be allowed",
    ):
        assert part in result.out


@pytest.mark.parametrize("rule_id", ["TWI101", "CFG101", "NUM101", "MEM101"])
async def test_rules_of_every_kind_are_known(tmp_path: Path, rule_id: str) -> None:
    result = await voice_app(tmp_path, "explain", rule_id, "--json")
    rule = {**twiml.RULES, **guard.RULES}[rule_id]
    assert json.loads(result.out) == {
        "id": rule_id,
        "severity": rule.severity,
        "title": rule.title,
        "why": rule.why,
        "fix": rule.fix,
        "overridable": rule.overridable,
    }


@pytest.mark.parametrize("rule_id", ["STT101", "STT104", "STT201", "CFG103"])
async def test_why_a_rule_cannot_be_allowed_is_told(tmp_path: Path, rule_id: str) -> None:
    rule = {**twiml.RULES, **guard.RULES}[rule_id]
    result = await voice_app(tmp_path, "explain", rule_id)
    assert rule.binding
    assert f"It cannot be allowed: {rule.binding}." in result.out


async def test_a_rule_that_there_is_not_is_guessed(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "explain", "STT11")
    assert result.code == 2
    assert "There is no rule STT11: did you mean STT101?" in result.err
