"""What `scripts/conformance` runs: the same suite against this server and Twilio Agent Connect."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console

from support.rivals import cores
from support.rivals.installation import ROOT, InstallationError, tac_python
from support.rivals.scenarios import Reply
from support.rivals.servers import CONTESTANTS, Contestant, Surroundings, running
from voice_app.cli.output import fail, run
from voice_app.sandbox.load.target import LoadError
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN
from voice_app.testing.conformance import (
    BackendAddress,
    CaseOutcome,
    CasePatience,
    CaseResult,
    ConformanceReport,
    Suite,
    summary,
    table,
)

PAGE: Final = ROOT / "voice_app/docs/conformance.md"
_BEGIN: Final = "<!-- results: scripts/conformance --page -->"
_END: Final = "<!-- end of results -->"
_REPLY: Final = Reply(words=30, word_ms=10)
_SAY: Final = "Turn 7, please."
"""What both stubs answer with thirty words."""
_SHOWN: Final = {
    CaseOutcome.PASS: "pass",
    CaseOutcome.FAIL: "**fail**",
    CaseOutcome.WARN: "warns",
    CaseOutcome.SKIP: "–",
}

app = typer.Typer(add_completion=False)
Reports = Mapping[str, ConformanceReport]


@app.command()
def main(
    page: Annotated[bool, typer.Option("--page", help="Put the table into the page `conformance`.")] = False,
) -> None:
    """Play the conformance suite against this server and Twilio Agent Connect.

    The rival is installed once, in an environment of its own under .venv/rivals.

    Exit code: 0 this server conforms, 1 it does not, 3 it could not be found out.

    Example: scripts/conformance --page
    """
    reports: dict[str, ConformanceReport] = {}
    try:
        tac_python()
        for key in ("ours", "tac"):
            contestant = CONTESTANTS[key]
            reports[contestant.title] = run(_play(contestant))
            Console().print(f"\n{contestant.title}: {summary(reports[contestant.title])}")
            Console(width=None if sys.stdout.isatty() else 200).print(table(reports[contestant.title]))
    except (InstallationError, LoadError) as error:
        raise fail(f"Nothing was found out: {error}", 3) from None
    if page:
        command = shlex.join(["scripts/conformance", *sys.argv[1:]])
        PAGE.write_text(put_into(PAGE.read_text("utf-8"), command, reports), "utf-8")
    raise typer.Exit(reports[CONTESTANTS["ours"].title].fails())


async def _play(contestant: Contestant) -> ConformanceReport:
    account = SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)
    async with serve(double_app(account)) as twilio_base_url:
        around = Surroundings(twilio_base_url, "", None, cores.divide(set()))
        async with running(contestant, _REPLY, around) as server:
            target = server.target
            address = BackendAddress(
                url=target.webhook.replace(target.network.origin, target.network.base),
                is_webhook=True,
                origin=target.network.origin,
                auth_token=SANDBOX_AUTH_TOKEN,
                account_sid=SANDBOX_ACCOUNT_SID,
            )
            return await Suite(say=_SAY, patience=CasePatience(reply=5.0)).run(address)


def put_into(page: str, command: str, reports: Reports) -> str:
    """The page with these results in place of those that it has. Raises `ValueError` if it has no place."""
    pattern = re.compile(f"({re.escape(_BEGIN)}\n).*?({re.escape(_END)})", re.DOTALL)
    text = markdown(command, reports)
    changed, places = pattern.subn(lambda found: f"{found[1]}\n{text}\n{found[2]}", page)
    if not places:
        raise ValueError(f"the page has no lines {_BEGIN!r} and {_END!r} between which the results go")
    return changed


def markdown(command: str, reports: Reports) -> str:
    """A table of all cases, and below it what did not pass."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"`{command}`, {made}.", ""]
    lines += [f"- {title}: {summary(report)}" for title, report in reports.items()]
    lines += ["", _line("case", "what is sent", "what must hold", "source", *reports)]
    lines.append(_line(*["---"] * (4 + len(reports))))
    for results in zip(*(report.results for report in reports.values()), strict=True):
        case = results[0].case
        shown = [_SHOWN[result.outcome] for result in results]
        source = case.source if case.grade == "rule" else f"{case.source} ({case.grade})"
        lines.append(_line(f"`{case.name}`", case.sends, case.holds, source, *shown))
    for title, report in reports.items():
        if found := [_told(result) for result in report.results if result.detail]:
            lines += ["", f"What did not pass of {title}:", "", *found]
    return "\n".join(lines) + "\n"


def _told(result: CaseResult) -> str:
    heard = "" if result.outcome is CaseOutcome.SKIP else f" A caller hears: {result.case.heard}."
    return f"- `{result.case.name}`: {result.detail}.{heard}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells).replace(chr(10), ' ')} |"


if __name__ == "__main__":
    app()
