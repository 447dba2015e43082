"""The comparison of `scripts/bench`: what is said of measurements, and that all of it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support.rivals.chart import svg
from support.rivals.command import app
from support.rivals.installation import closure
from support.rivals.measuring import Measurement
from support.rivals.report import RivalsReport, made_now, markdown, put_into
from support.rivals.scenarios import SCENARIOS, chosen

PAGE = "# Figures\n\n<!-- figures: scripts/bench --page -->\nold\n<!-- end of figures -->\n\nMore.\n"


def measured(scenario: str, contestant: str, run: int, **values: float) -> Measurement:
    return Measurement(scenario=scenario, contestant=contestant, run=run, values=dict(values))


def report(*measurements: Measurement, runs: int = 5, **changes: Any) -> RivalsReport:
    fields: dict[str, Any] = {
        "command": "scripts/bench",
        "divided_cores": True,
        "runs": runs,
        "quick": False,
        "contestants": ["ours", "tac", "floor"],
        "measurements": list(measurements),
    }
    return made_now(**(fields | changes))


THREE_RUNS = [
    measured("a100", contestant, run, cpu_ms_per_turn=cpu)
    for contestant, costs in (("ours", (0.2, 0.3, 0.2)), ("tac", (0.4, 0.5, 0.5)), ("floor", (0.1, 0.1, 0.1)))
    for run, cpu in enumerate(costs)
]


def test_a_row_has_the_median_its_spread_and_ratios_run_by_run() -> None:
    (row,) = report(*THREE_RUNS).rows
    assert row.values["ours"].text(2) == "0.20 (0.20–0.30)"
    assert row.values["floor"].text(2) == "0.10"
    assert row.ratios["tac"].text(2) == "0.50 (0.40–0.60)"
    assert row.ratios["floor"].text(1) == "2.0 (2.0–3.0)"


def test_a_server_that_answers_wrongly_is_named_and_not_timed() -> None:
    wrong = Measurement(scenario="a100", contestant="tac", run=9, wrong="it spoke after an interruption")
    found = report(*THREE_RUNS, wrong)
    (row,) = found.rows
    assert "tac" not in row.values
    assert "tac" not in row.ratios
    assert "a100: TAC 2.5.0 is not timed: it spoke after an interruption" in found.notes


def test_a_load_at_its_limit_is_told_where_clocks_are_read_and_not_where_cpu_is() -> None:
    run = Measurement(
        scenario="a100",
        contestant="ours",
        run=0,
        values={"cpu_ms_per_turn": 0.2, "first_token_p50_ms": 1.0},
        load_cpu_percent=99.0,
    )
    found = report(run, runs=1)
    cpu, first_token = found.rows
    assert (cpu.limited, first_token.limited) == ((), ("ours",))
    assert any("the load's own CPU was the limit" in note for note in found.notes)
    assert "1.00 *" in markdown(found)


def test_servers_that_share_a_core_with_the_load_and_few_runs_are_told() -> None:
    notes = report(*THREE_RUNS, runs=3, divided_cores=False).notes
    assert any("shared a core" in note for note in notes)
    assert "only 3 runs: read the spread" in notes


def test_the_figures_of_a_page_are_replaced_and_nothing_else() -> None:
    page = put_into(PAGE, report(*THREE_RUNS))
    assert page.startswith("# Figures\n")
    assert page.endswith("\n\nMore.\n")
    assert "old" not in page
    assert "| CPU per turn, ms | 0.200 (0.200–0.300) | 0.500 (0.400–0.500) | 0.100 |" in page
    assert put_into(page, report(*THREE_RUNS)).count("CPU per turn") == 1
    with pytest.raises(ValueError, match="has no lines"):
        put_into("# Nothing\n", report(*THREE_RUNS))


def test_the_chart_has_a_bar_for_each_server_and_no_script() -> None:
    picture = svg(report(*THREE_RUNS)).decode()
    assert picture.startswith("<?xml")
    assert "<script" not in picture
    assert all(f">{share}<" in picture for share in ("0.40", "1.00", "0.20"))
    with pytest.raises(ValueError, match="nothing to draw"):
        svg(report())


def test_scenarios_are_chosen_by_letter_or_key() -> None:
    assert [scenario.key for scenario in chosen("a,e", quick=True)] == ["a100", "a1000", "e"]
    assert chosen("", quick=False) == list(SCENARIOS)
    with pytest.raises(ValueError, match="no scenario 'z'"):
        chosen("z", quick=True)


def test_what_a_package_needs_is_counted_once_and_extras_as_asked() -> None:
    requires = {"a": ["b[x]>=1", "c; python_version < '3'"], "b": ["d; extra == 'x'", "e; extra == 'y'"]}
    requires |= {"c": [], "d": ["a"], "e": []}
    assert closure(("a",), requires) == {"a", "b", "d"}


@pytest.mark.parametrize(("option", "value"), [("--only", "z"), ("--servers", "theirs")])
def test_what_does_not_exist_is_a_usage_error(option: str, value: str) -> None:
    result = CliRunner().invoke(app, [option, value])
    assert result.exit_code == 2
    assert "there " in result.output


def test_we_and_the_floor_are_compared_and_the_file_can_be_shown_again(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    runner = CliRunner()
    arguments = ["--quick", "--only", "a100,e", "--servers", "ours,floor"]
    result = runner.invoke(app, [*arguments, "--json", str(file)])
    assert result.exit_code == 0, result.output
    found = json.loads(file.read_text())
    assert {item["contestant"] for item in found["measurements"]} == {"ours", "floor"}
    assert not [item["wrong"] for item in found["measurements"] if item["wrong"]]
    again = runner.invoke(app, ["--from", str(file)])
    assert again.exit_code == 0
    assert "20 words at once, 100 calls" in again.output
    assert "a quick run shows that everything works" in again.output
