"""The pages that are made from what ships: the tables of settings, rules and metrics, and the examples.

python -m voice_app.docs.generated     # writes them again, after a setting, a rule or an example has changed
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from voice_app import guard, twiml
from voice_app.settings import NUMBER_KEYS, NumberSettings, Settings, environment_name
from voice_app.telemetry.families import MAX_SERIES
from voice_app.telemetry.metrics import METRICS, STAGES

FOLDER: Final = Path(__file__).parent

_SETTINGS: Final = """\
# Settings

From the environment, then from `.env` in the working directory. A variable of the environment hides that of
the file, also if it is empty: then the default counts, but for lines of which the table says what empty
means. Lists are separated by commas, or JSON.

What is misspelt stops every command, with what was probably meant: a name that begins with `VOICE_APP_` and
is not in this table, one that differs from a name in it by a letter or two, a line of `.env` that is not
NAME=value, a key that a TOML file of ours does not have. A variable of another program that happens to look
like a setting is left alone once the setting itself is there, were it empty.

| setting | default | what it is |
|---|---|---|
{table}

## Single numbers

`VOICE_APP_NUMBERS` names a TOML file in which single numbers are answered differently. What a number does not
say comes from the settings:

```toml
["+15550100002"]
greeting = "Hola, ¿en qué puedo ayudarle?"
language = "es-ES"
```

The names in it are {names}.
"""

_RULES: Final = """\
# Rules

What `voice-app lint`, `check` and `serve` report. An error refuses the start; a warning does with `--strict`;
`voice-app explain ID` tells more about one.

| rule | what it finds | |
|---|---|---|
{table}
"""

_METRICS: Final = """\
# Metrics

What `/metrics` tells, in the text format of Prometheus; with `--workers` any tells the figures of all.
Times are in seconds. No label holds a number, a name, or a word of anybody's, and a metric has at most {most}
series: what comes beyond them is counted as `other`.

| metric | labels | kind | what it tells |
|---|---|---|---|
{table}

## Stages

`voice_app_stage_seconds` has these:

| stage | how long |
|---|---|
{stages}

## Dashboard and alerts

`scripts/deploy/grafana-dashboard.json` is a dashboard for Grafana (Dashboards → New → Import), and
`scripts/deploy/alerts.yml` a file of rules for Prometheus (`rule_files:`). Tests hold both to this list.
"""

_EXAMPLES: Final = """\
# Examples

Three agents that are ready to be phoned, each a folder with its settings, its tests and its scenarios. What
you read here are the files themselves, and our own tests run them.

```console
$ voice-app init --example own-agent my-tables
$ cd my-tables
$ pytest
$ voice-app rehearse .
```

`pip install 'voice-app[testing]'` brings what the last two need; the page `testing` tells what a test can
say and do. `voice-app serve` in the folder reads its `.env`, and `voice-app call` phones it. The other two
are `--example receptionist` and `--example chat`.

## The receptionist, with keys

The built-in agent, with questions and answers of its own: it needs no model and no code. Each topic may
have a key; 0 is for a person. The first setting is the default, and stands there to be changed.

{receptionist}

## Chat, with tools and a handoff

The agent with a model, two tools, and a prompt. Its tests and scenarios give the model's answers, so they
need no key, take no time, and come to the same every time: they show what becomes of the answers, the tools
and the transfers. How well your model answers is another question. The tests import the module of the
agent, and see what its tools have done.

{chat}

## An agent of your own, with state

An async generator, without a model. What the caller has told stands in `call.state`, so it can be said in
any order, changed, cut into, typed, and survives a line that breaks on the same server. The tests press,
cut in, drop the line, and phone twice at once.

{own_agent}
"""


def settings_page() -> str:
    """``settings.md``: every setting with its name in the environment, its default, and what it is."""
    rows = (
        f"| `{environment_name(field)}` | {_default(info.default)} | {info.description} |"
        for field, info in sorted(
            Settings.model_fields.items(), key=lambda item: item[0] in NumberSettings.model_fields
        )
    )
    shorter = {field: key for key, field in NUMBER_KEYS.items()}
    names = ", ".join(f"`{shorter.get(field, field)}`" for field in NumberSettings.model_fields)
    return _SETTINGS.format(table="\n".join(rows), names=names)


def rules_page() -> str:
    """``rules.md``: every rule with its id, title, and usual severity."""
    rules: dict[str, Any] = {**twiml.RULES, **guard.RULES}
    rows = (f"| {rule_id} | {rule.title} | {rule.severity} |" for rule_id, rule in sorted(rules.items()))
    return _RULES.format(table="\n".join(rows))


def metrics_page() -> str:
    """``metrics.md``: every metric with its labels and what it tells, and the stages of an answer."""
    rows = (
        f"| `{family.name}` | {', '.join(f'`{label}`' for label in family.label_names)} | {family.kind} "
        f"| {family.text} |"
        for family in METRICS.families
    )
    stages = (f"| `{stage}` | {text} |" for stage, text in STAGES.items())
    return _METRICS.format(table="\n".join(rows), stages="\n".join(stages), most=MAX_SERIES)


def examples_page() -> str:
    """``examples.md``: the files of each example."""
    return _EXAMPLES.format(
        **{folder.name.replace("-", "_"): _files(folder) for folder in (FOLDER / "examples").iterdir()}
    )


def _files(folder: Path) -> str:
    """The files of a folder as blocks: what is set, the agent, then what tests it."""
    files = sorted(
        (path for path in folder.iterdir() if path.is_file()),
        key=lambda path: (path.name.startswith("test_"), path.suffix == ".yaml", path.name),
    )
    kinds = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".md": "text", "": "sh"}
    return "\n\n".join(
        f"`{path.name}`:\n\n```{kinds[path.suffix]}\n{path.read_text('utf-8').rstrip()}\n```"
        for path in files
    )


PAGES: Final = {
    "settings.md": settings_page,
    "rules.md": rules_page,
    "metrics.md": metrics_page,
    "examples.md": examples_page,
}


def _default(value: Any) -> str:
    """A default as it would be written in the environment; nothing where there is none."""
    if isinstance(value, str | int | float | Path) and str(value):
        return f"`{value}`"
    if isinstance(value, Iterable) and not isinstance(value, str) and tuple(value):
        return f"`{','.join(map(str, value))}`"
    return ""


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
