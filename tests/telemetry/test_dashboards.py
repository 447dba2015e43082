"""The dashboard and the alert rules use metrics that there are, as Prometheus can read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import promql_parser
import pytest
import yaml

from voice_app.agents.failures import Kind
from voice_app.telemetry.metrics import METRICS, STAGES
from voice_app.twilio.errors import Trouble

DEPLOY: Final = Path(__file__).parents[2] / "scripts/deploy"
DASHBOARD: Final = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
ALERTS: Final = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))
FAMILIES: Final = {sample: family for family in METRICS.families for sample in family.samples()}
OF_PROMETHEUS: Final = {"job", "instance", "le"}
"""Labels that it adds itself."""
VALUES: Final = {
    ("voice_app_stage_seconds", "stage"): set(STAGES),
    ("voice_app_model_errors_total", "kind"): set(get_args(Kind)),
    ("voice_app_twilio_request_seconds", "outcome"): {"ok", "cancelled", *Trouble},
    ("voice_app_calls_open", "where"): {"agent", "connecting", "elsewhere"},
    ("voice_app_calls_turned_away_total", "to"): {"server", "people", "message"},
}
"""What a label can be, where that is known in the code."""


def panels() -> list[Any]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def rules() -> list[Any]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    for panel in panels():
        for target in panel["targets"]:
            # What Grafana puts in before it asks.
            yield (
                panel["title"],
                target["expr"].replace("$__rate_interval", "5m").replace("$job", "voice-app"),
            )
    for rule in rules():
        yield rule["alert"], rule["expr"]


def read(expression: str) -> tuple[list[Any], set[str]]:
    """The series that an expression reads, and the labels that it groups by."""
    found: list[Any] = []
    grouped: set[str] = set()

    def visit(node: Any) -> None:
        match type(node).__name__:
            case "VectorSelector":
                found.append(node)
            case "MatrixSelector":
                found.append(node.vector_selector)
            case "AggregateExpr" if node.modifier is not None:
                grouped.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found, grouped


@pytest.mark.parametrize(("title", "expression"), list(expressions()), ids=str)
def test_an_expression_reads_metrics_and_labels_that_there_are(title: str, expression: str) -> None:
    found, grouped = read(expression)
    assert found
    known = set(OF_PROMETHEUS)
    for selector in found:
        family = FAMILIES[selector.name]
        known |= set(family.label_names)
        for matcher in selector.matchers.matchers:
            assert matcher.name in {*family.label_names, *OF_PROMETHEUS}, selector.name
            if (values := VALUES.get((family.name, matcher.name))) is not None:
                wanted = (
                    re.compile(matcher.value)
                    if "Re" in str(matcher.op)
                    else re.compile(re.escape(matcher.value))
                )
                assert any(wanted.fullmatch(value) for value in values), f"{matcher.name}={matcher.value}"
    assert grouped <= known


@pytest.mark.parametrize(("title", "expression"), list(expressions()), ids=str)
def test_a_counter_is_read_as_a_rate_and_a_gauge_is_not(title: str, expression: str) -> None:
    for name, family in FAMILIES.items():
        for match in re.finditer(rf"(\w+)?\(?{name}\b(\{{[^}}]*\}})?(\[\w+\])?", expression):
            is_rate = match[3] is not None and match[1] in ("rate", "increase")
            assert is_rate == (family.kind != "gauge"), f"{title}: {name}"


def test_a_legend_names_labels_that_the_expression_keeps() -> None:
    for panel in panels():
        for target in panel["targets"]:
            found, grouped = read(target["expr"].replace("$__rate_interval", "5m").replace("$job", "x"))
            kept = grouped or {"instance", *(FAMILIES[found[0].name].label_names)}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept, target["expr"]


def test_panels_have_places_of_their_own_and_a_title_each() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(right for right, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboard_shows_what_is_measured() -> None:
    shown = {FAMILIES[selector.name].name for _, text in expressions() for selector in read(text)[0]}
    left_out = {
        *("voice_app_calls_purged_total", "voice_app_tasks", "voice_app_guard_checks_total"),
        *("voice_app_sessions_reconnected_total", "voice_app_sessions_resumed_total"),
        *("voice_app_speculations_total", "voice_app_speculation_saved_seconds_total"),
    }
    assert {family.name for family in METRICS.families} - shown == left_out


def test_an_alert_says_whom_it_wakes_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        _, grouped = read(rule["expr"])
        told = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
        assert set(told) <= grouped, rule["alert"]


def test_a_metric_or_a_label_that_there_is_not_would_be_found() -> None:
    with pytest.raises(KeyError):
        test_an_expression_reads_metrics_and_labels_that_there_are("", "voice_app_nothing_total")
    with pytest.raises(AssertionError):
        test_an_expression_reads_metrics_and_labels_that_there_are("", 'voice_app_calls_open{were="agent"}')
    with pytest.raises(ValueError, match="parenthesis"):
        read("sum(rate(voice_app_calls_total[5m])")
