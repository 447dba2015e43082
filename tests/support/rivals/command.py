"""What `scripts/bench` runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from support.rivals import cores
from support.rivals.chart import svg
from support.rivals.installation import InstallationError, tac_python
from support.rivals.measuring import Comparison, Measurement
from support.rivals.report import RivalsReport, made_now, put_into, table
from support.rivals.scenarios import Scenario, chosen
from support.rivals.servers import CONTESTANTS, Contestant
from voice_app.cli.bench_run import allow_open_files
from voice_app.cli.output import fail, run

app = typer.Typer(add_completion=False)


@app.command()
def main(
    only: Annotated[str, typer.Option(help="Scenarios by letter or key: a,d or a100,d.  [all]")] = "",
    servers: Annotated[
        str, typer.Option(help="Who is compared: the first with each of the others.")
    ] = "ours,tac,floor",
    runs: Annotated[int, typer.Option(min=1, help="Runs of each scenario.")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="One run of a few calls: does it all work?")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what was measured.")] = None,
    svg_file: Annotated[Path | None, typer.Option("--svg", help="Draw a chart.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="Put the table into a page that has a place for it.")
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="Measure nothing: show what --json has written.")
    ] = None,
) -> None:
    """Compare this server with Twilio Agent Connect and with the floor, a bare uvicorn app.

    All of it takes about ten minutes; the machine has to be idle. The rival is installed once, in an
    environment of its own under .venv/rivals.

    Exit code: 0 measured, 1 a server answered wrongly and was not timed, 2 usage, 3 could not be measured.

    Example: scripts/bench --only a,e --runs 3
    """
    if from_file is not None:
        report = msgspec.json.decode(from_file.read_bytes(), type=RivalsReport)
    else:
        scenarios, contestants = _asked(only, servers, quick=quick)
        report = _measure(scenarios, contestants, runs=1 if quick else runs, quick=quick)
    Console(width=None if sys.stdout.isatty() else 200).print(table(report))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    try:
        if svg_file is not None:
            svg_file.write_bytes(svg(report))
        if page is not None:
            page.write_text(put_into(page.read_text("utf-8"), report), "utf-8")
    except ValueError as error:
        raise fail(str(error), 3) from None
    raise typer.Exit(any(item.wrong for item in report.measurements))


def _asked(only: str, servers: str, *, quick: bool) -> tuple[list[Scenario], list[Contestant]]:
    keys = [key.strip() for key in servers.split(",") if key.strip()]
    if not keys or set(keys) - CONTESTANTS.keys():
        raise typer.BadParameter(f"there are {', '.join(CONTESTANTS)}", param_hint="--servers")
    try:
        return chosen(only, quick=quick), [CONTESTANTS[key] for key in keys]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from None


def _measure(
    scenarios: list[Scenario], contestants: list[Contestant], *, runs: int, quick: bool
) -> RivalsReport:
    allow_open_files()
    divided = cores.of_this_machine()
    console = Console(stderr=True)
    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
        console=console, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task("starting servers", total=None)

        def tell(what: str) -> None:
            progress.update(task, description=what, advance=1)

        comparison = Comparison(scenarios, contestants, runs, divided, tell)
        progress.update(task, total=comparison.steps)
        try:
            if any(contestant.key == "tac" for contestant in contestants):
                progress.update(task, description="installing the rival (once)")
                tac_python()
            found: list[Measurement] = run(comparison.run())
        except InstallationError as error:
            raise fail(f"Nothing was measured: {error}", 3) from None
    return made_now(
        command=shlex.join(["scripts/bench", *sys.argv[1:]]),
        divided_cores=divided.divided,
        runs=runs,
        quick=quick,
        contestants=[contestant.key for contestant in contestants],
        measurements=found,
    )


if __name__ == "__main__":
    app()
