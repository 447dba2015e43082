"""The comparison as a picture: what a turn, a webhook and a call cost, with the rival as the measure."""

from __future__ import annotations

import re
from typing import Final

import pygal
from pygal.style import Style

from support.rivals.report import RivalsReport
from support.rivals.scenarios import SCENARIOS
from support.rivals.servers import CONTESTANTS

SHOWN: Final = ("cpu_ms_per_turn", "cpu_ms_per_webhook", "kib_per_call", "ready_cpu_seconds")
"""What is drawn of a scenario: what it costs the server, whatever the clock on the wall says."""
_STYLE: Final = Style(
    background="white",
    plot_background="white",
    foreground="#333",
    foreground_strong="#111",
    foreground_subtle="#999",
    colors=("#0b7a75", "#d95f43", "#9aa5b1"),
    font_family="sans-serif",
    label_font_size=12,
    value_font_size=11,
    legend_font_size=13,
    title_font_size=16,
    major_label_font_size=12,
)


def svg(report: RivalsReport) -> bytes:
    """An SVG without scripts. A bar is a server's cost as a share of the rival's; shorter is better.

    Raises `ValueError` if the rival (the first server's first other one) was not measured.
    """
    measure = report.contestants[1] if len(report.contestants) > 1 else report.contestants[0]
    drawn = [
        row
        for row in reversed(report.rows)  # the first one is drawn at the bottom
        if row.measure.key in SHOWN and measure in row.values and row.values[measure].median
    ]
    if not drawn:
        raise ValueError(f"nothing was measured of {CONTESTANTS[measure].title}: there is nothing to draw")
    names = {scenario.key: scenario.title for scenario in SCENARIOS}
    chart = pygal.HorizontalBar(
        js=[],
        style=_STYLE,
        no_prefix=True,
        title=f"Cost to the server, {CONTESTANTS[measure].title} = 1 (shorter is better)",
        x_labels=[f"{names[row.scenario]}: {row.measure.title}" for row in drawn],
        width=1000,
        height=120 + 62 * len(drawn),
        legend_at_bottom=True,
        legend_at_bottom_columns=len(report.contestants),
        print_values=True,
        print_values_position="top",
        formatter=lambda value: "" if value is None else f"{value:.2f}",
        truncate_label=-1,
        range=(0, None),
        include_x_axis=True,
        show_y_guides=True,
    )
    for key in report.contestants:
        chart.add(
            CONTESTANTS[key].title,
            [
                row.values[key].median / row.values[measure].median if key in row.values else None
                for row in drawn
            ],
        )
    picture: bytes = chart.render()
    return re.sub(rb"<script.*?</script>|<!--.*?-->", b"", picture, flags=re.DOTALL) + b"\n"
