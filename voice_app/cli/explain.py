"""``voice-app explain``: a rule of the guard or of the linter, in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from voice_app.cli.options import AsJson
from voice_app.cli.output import meant, print_json

if TYPE_CHECKING:
    from voice_app.findings import Rule


def explain(
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="Its id, as a finding has it: STT101.")],
    as_json: AsJson = False,
) -> None:
    """Tell what a rule finds, why that matters, and what to do about it.

    Example: voice-app explain STT101
    """
    from voice_app import guard, twiml

    rules = {**twiml.RULES, **guard.RULES}
    rule = rules.get(rule_id.upper())
    if rule is None:
        near = meant(rule_id.upper(), rules) or "`voice-app docs rules` lists them."
        raise typer.BadParameter(f"There is no rule {rule_id}: {near}")
    if as_json:
        names = ("id", "severity", "title", "why", "fix", "overridable")
        print_json({name: getattr(rule, name) for name in names})
    else:
        typer.echo(_text(rule))


def _text(rule: Rule) -> str:
    """The rule for people; the lines are folded by the terminal."""
    parts = [f"{rule.id} ({rule.severity}): {rule.title}", f"Why: {rule.why}", f"Fix: {rule.fix}"]
    if not rule.id.startswith("TWI"):  # the guard's
        parts.append(
            f"To allow it for one thing: VOICE_APP_GUARD_ALLOW={rule.id}:ID, with the id in the finding."
            if rule.overridable
            else "It cannot be allowed."
        )
    return "\n\n".join(parts)
