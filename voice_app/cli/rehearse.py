"""``voice-app rehearse``: scenarios, run without a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voice_app.cli.options import AsJson, DatabaseUrl

if TYPE_CHECKING:
    from voice_app.testing.rehearsal import Rehearsed
    from voice_app.testing.scenario import Variant


def rehearse(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE…", help="Scenarios (YAML), or folders of them.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=1000, help="Run each so many times.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="In so many processes.")] = 1,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit's XML, too.")
    ] = None,
    lint_only: Annotated[bool, typer.Option("--lint", help="Look for mistakes in the files only.")] = False,
    print_schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of scenarios, for editors.")
    ] = False,
    from_call: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="CALL_SID",
            help="Print a scenario of a call in the journal, its names and numbers replaced.",
        ),
    ] = None,
    as_json: AsJson = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Run scenarios: calls of a simulated caller to your agent, with Twilio's double beside it.

    Nothing is phoned, and a silence takes no time. The agent is that of the scenario, or VOICE_APP_AGENT.

    Exit code: 0 all passed, 1 some failed, 2 a file or the settings cannot be used.

    Example: voice-app rehearse scenarios/ --repeat 3 --parallel 2 --junit results.xml
    """
    from voice_app.cli.output import fail

    try:
        import yaml  # noqa: F401
    except ModuleNotFoundError:
        raise fail("Scenarios need PyYAML: pip install 'voice-app[testing]'", 2) from None
    if print_schema:
        from voice_app.testing.scenario import SCHEMA

        typer.echo(SCHEMA.read_text("utf-8"), nl=False)
    elif from_call is not None:
        typer.echo(_scenario_of(from_call, database_url), nl=False)
    elif not files:
        raise typer.BadParameter("Name files of scenarios or folders of them, or give --from CALL_SID.")
    else:
        variants = _read(files)
        if lint_only:
            typer.echo(f"{len(variants)} scenarios, no mistakes.")
            return
        raise typer.Exit(_run(variants, repeat, parallel, junit, as_json=as_json))


def _scenario_of(call_sid: str, database_url: str | None) -> str:
    from voice_app.cli.journal import ask, calls_named
    from voice_app.journal import Journal
    from voice_app.testing.from_journal import scenario_of

    async def read(journal: Journal) -> str:
        (call,) = await calls_named(journal, [call_sid])
        return scenario_of(call.call_sid, await journal.events(call.call_sid))

    return ask(database_url, read)


def _read(files: list[Path]) -> list[Variant]:
    from voice_app.cli.output import fail
    from voice_app.testing.scenario import ScenarioError, read_scenarios

    try:
        return read_scenarios(files)
    except ScenarioError as error:
        raise fail("\n  ".join(["The scenarios cannot be used:", *error.problems]), 2) from None


def _run(variants: list[Variant], repeat: int, parallel: int, junit: Path | None, *, as_json: bool) -> int:
    """Run them, and tell what came of them; the exit code."""
    from rich.console import Console
    from rich.progress import Progress

    from voice_app.cli.output import fail, print_json
    from voice_app.cli.rehearsal_report import document, junit_of, tell
    from voice_app.telemetry import configure_logging
    from voice_app.testing.rehearsal import rehearse as run

    configure_logging("error")
    results: list[Rehearsed] = []
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        bar = progress.add_task("Rehearsing", total=len(variants) * repeat)
        for result in run(variants, repeat=repeat, parallel=parallel):
            results.append(result)
            progress.advance(bar)
    order = {variant.name: place for place, variant in enumerate(variants)}
    results.sort(key=lambda result: (order[result.name], result.attempt))
    if junit is not None:
        try:
            junit.write_text(junit_of(results), "utf-8")
        except OSError as error:
            raise fail(f"--junit: {junit} cannot be written: {error.strerror}", 2) from None
    if as_json:
        print_json(document(results))
    else:
        tell(results)
    return int(not all(result.passed for result in results))
