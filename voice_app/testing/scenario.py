"""Scenarios: a call as a file of YAML: what is given, what is done step by step, and what has to come of it.

The JSON schema for editors is in `scenario.schema.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from voice_app.sandbox.phone import PersonKind
from voice_app.settings.problems import nearest, unknown_key

SCHEMA: Final = Path(__file__).with_name("scenario.schema.json")
MAX_BYTES: Final = 1_000_000
"""Of a file."""
MAX_STEPS: Final = 500
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class ScenarioError(Exception):
    """A scenario cannot be used. ``problems`` has a line each, with the file and the line in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Part(BaseModel):
    """What a scenario is made of: nothing that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Pattern(_Part):
    """A regular expression instead of words."""

    pattern: str

    @model_validator(mode="after")
    def _compiles(self) -> Pattern:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is no regular expression: {error}") from None
        return self


_ByLanguage: TypeAlias = dict[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")], str]
Text: TypeAlias = str | _ByLanguage
"""Words, or words by language: ``{en-US: Hello, de-DE: Hallo}``."""
Expected: TypeAlias = Pattern | str | _ByLanguage
Flag: TypeAlias = Literal[True]


class Interruption(_Part):
    """The caller cuts in."""

    says: Text
    after_words: int = Field(3, ge=1)
    """Words of the answer that are heard first."""


class ExpectedTransfer(_Part):
    """The agent gives the call to a person."""

    reason: str | None = None
    summary: Expected | None = None
    """What is in the summary."""


class ExpectedTool(_Part):
    """The agent's model calls a tool with at least these arguments."""

    name: str
    arguments: dict[str, Any] = {}


class Step(_Part):
    """One thing that is done or expected: exactly one of these."""

    says: Text | None = None
    interrupts: Interruption | None = None
    presses: str | None = Field(None, pattern=r"^[0-9*#]+$")
    is_silent: float | None = Field(None, gt=0, le=86_400)
    """Seconds; they take no time."""
    drops: Flag | None = None
    """The connection to the agent breaks."""
    hangs_up: Flag | None = None
    hears: Expected | None = None
    """Since the caller last did something."""
    does_not_hear: Expected | None = None
    is_transferred: ExpectedTransfer | Flag | None = None
    is_put_through: Flag | None = None
    is_hung_up_on: Flag | None = None
    tool_called: ExpectedTool | str | None = None
    person_says: Text | None = None
    person_hears: Expected | None = None
    person_hangs_up: Flag | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_thing(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {value: True}
        if isinstance(value, dict) and len(value) != 1:
            raise ValueError(
                f"a step does one thing, and this one has {', '.join(map(str, value)) or 'none'}"
            )
        return value

    @property
    def verb(self) -> str:
        """Which of them it is."""
        return next(iter(self.model_fields_set))

    @property
    def value(self) -> Any:
        """What it is done with."""
        return getattr(self, self.verb)


class Outcome(_Part):
    """What has to be true of the whole call: any of these."""

    heard: Expected | None = None
    not_heard: Expected | None = None
    tool: ExpectedTool | str | None = None
    outcome: Literal["transferred", "ended", "open"] | None = None
    """The agent has given the call to a person, or has ended it, or it goes on."""


class ModelTurn(_Part):
    """One answer of the scripted model."""

    says: str = ""
    calls: dict[str, dict[str, Any]] = {}
    """Tools by their name, with the arguments."""
    delay: float = Field(0, ge=0)
    """Seconds before it."""
    fails: int = Field(200, ge=200, le=599)
    """An HTTP status."""
    breaks_off: bool = False


class TwilioFault(_Part):
    """Requests to Twilio that fail."""

    path: str = "*"
    """A shell pattern, product included: ``/memory/*``."""
    status: int = Field(503, ge=400, le=599)
    times: int | None = Field(None, ge=1)


Rate: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class LineQuality(_Part):
    """How good the line is, and what speech-to-text makes of what is said on it. By chance, from the seed."""

    delay_ms: float = Field(0, ge=0, le=10_000)
    """Milliseconds that each frame takes between Twilio and the server, one way."""
    jitter_ms: float = Field(0, ge=0, le=10_000)
    """At most so many more of them."""
    pace: Annotated[float, Field(gt=0, le=10)] | dict[str, Annotated[float, Field(gt=0, le=10)]] | None = None
    """The agent's voice: 1 is that of a slow one in the script of what it says; also by language."""
    word_errors: Rate = 0
    """The share of the words that are lost, or heard as another word, or with a filler before them."""
    homophones: Rate = 0
    """Of those that sound like another word, the share that is heard as it."""
    dropped_beginnings: Rate = 0
    """The share of what is said that lacks its first one or two words."""
    wrong_language: Rate = 0
    """The share that is taken for another language."""
    split_prompts: Rate = 0
    """The share that comes as two prompts."""

    @property
    def mishears(self) -> bool:
        """Whether anything but what is said may be understood."""
        rates = (self.word_errors, self.homophones, self.dropped_beginnings, self.wrong_language)
        return any(rates) or self.split_prompts > 0

    def pace_in(self, language: str) -> float | None:
        """Of a language such as ``de-DE``; None: of an ordinary voice, whatever it says."""
        return self.pace.get(language) if isinstance(self.pace, dict) else self.pace


class DatabaseFault(_Part):
    """What is wrong with the journal's database, from the beginning of the call. Seconds of the call."""

    away_seconds: float = Field(0, ge=0, le=3600)
    """For so long it takes and tells nothing."""
    slow_seconds: float = Field(0, ge=0, le=60)
    """Each statement takes so much longer."""


def moment(text: str) -> datetime:
    """A time as ISO 8601 has it, perhaps with the name of its zone; UTC without any. Raises `ValueError`."""
    stamp, _, zone = text.strip().rpartition(" ")
    try:
        if "/" not in zone:
            found = datetime.fromisoformat(text.strip())
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return datetime.fromisoformat(stamp).replace(tzinfo=ZoneInfo(zone))
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        example = "2026-12-24 18:30 Europe/Berlin"
        raise ValueError(f"{text!r} is no time such as {example}: {error}") from None


class Given(_Part):
    """The world in which the call takes place."""

    caller: str = "+15550199999"
    memory: list[str] = []
    """What is known of the caller from earlier calls."""
    traits: dict[str, str] = {}
    people: list[PersonKind] = ["answers"]
    """Who is reached when the line rings for a person."""
    model: list[ModelTurn] = []
    """The answers of the model, in order; without any the configured one is asked."""
    twilio: list[TwilioFault] = []
    database: DatabaseFault = DatabaseFault()
    line: LineQuality = LineQuality()
    at: str | None = None
    """When the call takes place: ``2026-12-24 18:30 Europe/Berlin``; agents and opening hours see it."""

    @field_validator("at")
    @classmethod
    def _is_a_moment(cls, value: str | None) -> str | None:
        if value is not None:
            moment(value)
        return value


class Matrix(_Part):
    """The scenario is run once for each combination."""

    agent: list[str] = []
    language: list[str] = []


Behaviour: TypeAlias = Literal[
    "in a hurry", "mumbles", "corrects itself", "spells", "presses keys", "speaks in bursts", "goes silent",
    "wrong language", "gives up",
]  # fmt: skip
"""What a scripted persona does: see `voice_app.testing.scripted_persona`."""


class ScriptedPersona(_Part):
    """A caller who needs no model: says what they want, answers what they are asked, and has their ways."""

    opens: Text
    """What they say first: what they want."""
    behaves: list[Behaviour] = []
    facts: dict[Annotated[str, Field(pattern=r"\w")], Annotated[str, Field(pattern=r"\S")]] = {}
    """What they know, by the words with which somebody asks for it: ``order number: 4711``."""
    answers: dict[str, Text] = {}
    """What they say to words with a pattern: ``anything else: No, thank you.``."""
    corrects_with: Text = "No, sorry:"
    """What they say before they correct themselves."""

    @model_validator(mode="after")
    def _can_be_said(self) -> ScriptedPersona:
        for pattern in self.answers:
            Pattern(pattern=pattern)
        for words in (self.opens, self.corrects_with, *self.answers.values()):
            if not all(map(str.strip, [words] if isinstance(words, str) else words.values())):
                raise ValueError("`opens`, `answers` and `corrects_with` are words: none is empty")
        if "wrong language" in self.behaves and (isinstance(self.opens, str) or len(self.opens) < 2):
            raise ValueError("a caller with `wrong language` needs `opens` in two languages")
        return self


class PersonaLimits(_Part):
    """Where a persona stops at the latest."""

    turns: int = Field(20, ge=1, le=200)
    """Things that the caller does."""
    seconds: float = Field(600, gt=0, le=7200)
    """Of the call."""
    tokens: int = Field(50_000, ge=1, le=2_000_000)
    """Of the models that play the caller and judge the call, sent and received."""


Criterion: TypeAlias = str | Outcome
"""Words, which a model judges, or what rules can tell."""
CriterionName: TypeAlias = Annotated[str, Field(min_length=1, max_length=60)]


class Scenario(_Part):
    """One call, and what is expected of it."""

    name: str = Field(min_length=1, max_length=200)
    agent: str = ""
    """A built-in agent, or ``module:name``; without it that of ``VOICE_APP_AGENT``."""
    settings: dict[str, str] = {}
    """Settings as in the environment, or in short: ``greeting``."""
    given: Given = Given()
    matrix: Matrix = Matrix()
    steps: Annotated[list[Step], Field(max_length=MAX_STEPS)] = []
    persona: Annotated[str, Field(min_length=1, max_length=4000)] | ScriptedPersona | None = None
    """Who calls: in words, for a model that plays them, or as a script. They go on after the steps."""
    goal: str = Field("", max_length=4000)
    """What they want to have reached."""
    limits: PersonaLimits = PersonaLimits()
    seed: int = 1
    """Of the first run; each further run has the next one."""
    temperature: float = Field(0.7, ge=0, le=2)
    """Of the model that plays the caller."""
    expect: list[Outcome] = []
    success: Criterion | None = None
    """What makes the call a success."""
    criteria: dict[CriterionName, Criterion] = Field({}, max_length=20)
    """What else is judged, by name."""
    runs: int = Field(1, ge=1, le=1000)
    at_least: float = Field(1, gt=0, le=1)
    """The share of the runs that have to pass."""

    @model_validator(mode="after")
    def _has_a_call(self) -> Scenario:
        if not (self.steps or self.persona or self.judged):
            raise ValueError("a scenario has `steps`, a `persona`, or `success` of calls to judge")
        return self

    @property
    def judged(self) -> dict[str, Criterion]:
        """Every criterion by its name, ``success`` first."""
        return {**({"success": self.success} if self.success is not None else {}), **self.criteria}

    @property
    def is_simulated(self) -> bool:
        """Whether somebody in it is: who calls, or who judges."""
        return self.persona is not None or bool(self.judged)

    @property
    def in_words(self) -> dict[str, str]:
        """The criteria that a model has to judge."""
        return {name: text for name, text in self.judged.items() if isinstance(text, str)}


@dataclass(frozen=True, slots=True)
class Variant:
    """A scenario with one agent and one language, to be run."""

    scenario: Scenario
    file: str
    agent: str = ""
    language: str = ""
    step_lines: tuple[int, ...] = ()
    """The line of each step in the file."""

    @property
    def name(self) -> str:
        """With what tells it from its siblings."""
        which = [value for value in (self.agent, self.language) if value]
        return f"{self.scenario.name} [{', '.join(which)}]" if which else self.scenario.name

    def text(self, words: Text) -> str:
        """Words in the variant's language."""
        if isinstance(words, str):
            return words
        if self.language in words:
            return words[self.language]
        return next(iter(words.values()))

    def expected(self, words: Expected) -> str | re.Pattern[str]:
        """The same of what is expected."""
        return re.compile(words.pattern) if isinstance(words, Pattern) else self.text(words)


def read_scenarios(paths: list[Path]) -> list[Variant]:
    """The scenarios of files, and of the files ``*.yaml`` and ``*.yml`` in folders, each in all its variants.

    Raises:
        ScenarioError: some of them cannot be used; all problems are told.
    """
    problems: list[str] = []
    variants: list[Variant] = []
    for path in paths:
        files = sorted(found for found in path.rglob("*.y*ml")) if path.is_dir() else [path]
        if not files:
            problems.append(f"{path}: there is no file *.yaml in it")
        for file in files:
            try:
                variants += _read(file)
            except ScenarioError as error:
                problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return variants


def _read(file: Path) -> Iterator[Variant]:
    import yaml  # the extra `testing` has it

    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ScenarioError([f"{file}: it is larger than {MAX_BYTES} bytes"])
        nodes = list(yaml.compose_all(content, Loader=yaml.BaseLoader))
        documents = list(yaml.load_all(content, Loader=yaml.BaseLoader))
    except OSError as error:
        raise ScenarioError([f"{file}: it cannot be read: {error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else f"{file}"
        raise ScenarioError([f"{where}: it is no YAML: {getattr(error, 'problem', None) or error}"]) from None
    if not documents:
        raise ScenarioError([f"{file}: it is empty; a scenario has a name and steps"])
    problems: list[str] = []
    found: list[Variant] = []
    for node, document in zip(nodes, documents, strict=True):
        try:
            scenario = Scenario.model_validate(document)
        except ValidationError as error:
            problems += _told(file, node, error)
            continue
        lines = tuple(_line(node, ("steps", at)) for at in range(len(scenario.steps)))
        problems += [f"{file}: {problem}" for problem in _lint(scenario)]
        agents, languages = scenario.matrix.agent or [""], scenario.matrix.language or [""]
        found += [
            Variant(scenario, str(file), agent, language, lines)
            for agent, language in product(agents, languages)
        ]
    if problems:
        raise ScenarioError(problems)
    return iter(found)


def _lint(scenario: Scenario) -> Iterator[str]:
    """What is well-formed, and cannot be meant."""
    for language in scenario.matrix.language:
        if _LANGUAGE.fullmatch(language) is None:
            yield f"matrix: {language!r} is no language tag such as en-US"
    for place, words in _texts(scenario):
        if isinstance(words, Mapping) and (missing := set(scenario.matrix.language) - set(words)):
            yield f"{place} has no words in {', '.join(sorted(missing))}"


def _texts(scenario: Scenario) -> Iterator[tuple[str, Any]]:
    """What is said in it, and where."""
    for number, step in enumerate(scenario.steps, 1):
        words = step.value.says if isinstance(step.value, Interruption) else step.value
        yield f"step {number}: {step.verb}", words
    if isinstance(persona := scenario.persona, ScriptedPersona):
        yield "persona: opens", persona.opens
        yield from ((f"persona: answers: {pattern}", words) for pattern, words in persona.answers.items())


def _told(file: Path, node: Any, error: ValidationError) -> list[str]:
    """A line for each problem, the deepest of those that a choice has."""
    told: dict[tuple[int, str], None] = {}
    items = [item for item in error.errors() if not _is_the_other_choice(item)]
    for item in items:
        place = tuple(part for part in item["loc"] if _is_key(part))
        shown = ".".join(part for part in place if isinstance(part, str))
        line = _line(node, place)
        if item["type"] == "extra_forbidden":
            line = _line(node, (*place, item["loc"][-1]))
            message = unknown_key(str(item["loc"][-1]), _keys_of(item["loc"][:-1]))
        elif item["type"] == "missing":
            message = f"{shown} is missing"
        else:
            message = item["msg"].removeprefix("Value error, ")
            if item["type"] == "literal_error" and (meant := nearest(str(item["input"]), _choices(item))):
                message = f"{item['input']} is none of what can stand here: did you mean {meant}?"
            message = f"{shown}: {message}" if shown else message
        told[line, message] = None
    return [f"{file}:{line}: {message}" for line, message in sorted(told)]


def _is_the_other_choice(item: ErrorDetails) -> bool:
    """Whether it only says that a table is no text, where both may stand."""
    return isinstance(item["input"], dict) and item["loc"][-1:] in (("str",), ("constrained-str",))


def _choices(item: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']+)'", item.get("ctx", {}).get("expected", ""))


_MODELS: Final[Mapping[str, type[_Part]]] = {
    "given": Given, "matrix": Matrix, "steps": Step, "expect": Outcome, "interrupts": Interruption,
    "is_transferred": ExpectedTransfer, "tool_called": ExpectedTool, "tool": ExpectedTool,
    "model": ModelTurn, "twilio": TwilioFault, "line": LineQuality, "database": DatabaseFault,
    "persona": ScriptedPersona, "limits": PersonaLimits,
    "success": Outcome, "criteria": Outcome,
}  # fmt: skip


_PARTS: Final[tuple[type[_Part], ...]] = (Scenario, *_MODELS.values())
_NAMES: Final = frozenset(name for part in _PARTS for name in part.model_fields)


def _keys_of(place: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at a place."""
    for part in reversed(place):
        if part in _MODELS:
            return list(_MODELS[str(part)].model_fields)
    return list(Scenario.model_fields)


def _is_key(part: int | str) -> bool:
    """Whether a part of a place is in the file; pydantic names the members of a choice as well."""
    return isinstance(part, int) or part in _NAMES


def _line(node: Any, place: tuple[int | str, ...]) -> int:
    """The line of a place in a document, from 1."""
    for part in place:
        children = node.value if isinstance(node.value, list) else []
        if isinstance(part, int):
            if part >= len(children) or isinstance(children[part], tuple):
                break
            node = children[part]
        else:
            pairs = [pair for pair in children if isinstance(pair, tuple) and pair[0].value == part]
            if not pairs:
                break
            key, node = pairs[0]
            if place[-1] == part:
                return int(key.start_mark.line) + 1
    return int(node.start_mark.line) + 1


def typed(values: dict[str, Any]) -> dict[str, Any]:
    """Values as YAML means them: what is read of a scenario is text first."""
    import yaml

    return {
        name: yaml.safe_load(value) if isinstance(value, str) else value for name, value in values.items()
    }


def schema() -> str:
    """The JSON schema of a scenario, for editors."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema()}
    made["$defs"]["Step"] |= {"minProperties": 1, "maxProperties": 1}
    made["$defs"]["Step"] = {"anyOf": [{"type": "string"}, made["$defs"]["Step"]]}
    return json.dumps(made, indent=1) + "\n"
