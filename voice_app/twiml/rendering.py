"""Templates filled in with made-up calls, every branch of them, each character traced to its template.

How it works. While a template is compiled, a private-use character that stands for its name and line is put
in front of every line of text and every printed value; a rendering is cut at these characters, and they are
taken out again. Every condition is wrapped in a call that notes how it came out. A way that no sample took
is rendered once more with its condition forced; ways inside it are found by doing so, and follow. Of samples
that are the same in all that a template reads, one is rendered.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import SandboxedEnvironment

from voice_app.twiml.samples import PLAIN, Sample, samples
from voice_app.twiml.templates import FIELDS, Sources, options, variables

MOST_RENDERINGS = 500
"""Of one template; beyond that, ways through it are left out."""
_FIRST_MARK, _LAST_MARK = 0xF0000, 0x10FFFD
_MARK = re.compile(f"[{chr(_FIRST_MARK)}-{chr(_LAST_MARK)}]")


@dataclass(slots=True, frozen=True)
class Place:
    """A line of a template."""

    template: str
    line: int


@dataclass(slots=True, frozen=True)
class Rendering:
    """A template filled in, and where each part of it came from."""

    text: str
    label: str
    """With which call, to stand after "rendered with"."""
    forced: bool
    """Along a way that the call would not take by itself, so that values may not fit it."""
    invented: bool
    """With a voice, a language or a model that nobody has set: they may not fit what the template says."""
    offsets: list[int]
    places: list[Place]

    def place(self, offset: int) -> Place:
        """The template and line that printed a character of the text."""
        return self.places[max(0, bisect_right(self.offsets, offset) - 1)]


@dataclass(slots=True, frozen=True)
class Failure:
    """A template that could not be filled in."""

    error: Exception
    place: Place
    label: str = ""


@dataclass(slots=True)
class _Trace:
    """How the conditions of one rendering came out."""

    forced: dict[int, bool]
    outcomes: defaultdict[int, set[bool]] = field(default_factory=lambda: defaultdict(set))


class _Generator(CodeGenerator):
    """Compiles a template after the environment has put its marks and switches into it."""

    environment: TemplateStudy

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 - Jinja's
        self.environment.instrument(node, self.name or "", self.filename or "")
        super().visit_Template(node, frame)


class TemplateStudy(SandboxedEnvironment):
    """Templates set up as on a call, with everything it takes to study them."""

    code_generator_class = _Generator

    def __init__(self, sources: Sources) -> None:
        super().__init__(**options(sources))
        self.switches: list[Place] = []
        """Every condition compiled so far; its number is its index."""
        self._numbers: dict[Place, int] = {}
        self._static: set[str] = set()
        self._files: dict[str, str] = {}
        self._mentioned: dict[str, list[tuple[str, str]]] = {}
        self._guarded: set[str] = set()
        self._relatives: dict[str, set[str | None]] = {}
        self._names: dict[str, set[str]] = {}
        self._trace = _Trace({})

    # --- while a template is compiled -----------------------------------------------------------

    def instrument(self, tree: nodes.Template, name: str, filename: str) -> None:
        """Put marks and switches into a template that is about to be compiled."""
        self._files[filename] = name
        self._relatives[name] = set(meta.find_referenced_templates(tree))
        every = list(tree.find_all(nodes.Node))
        self._names[name] = {node.name for node in every if isinstance(node, nodes.Name)}
        self._mentioned[name] = list(_mentions(every))
        self._guarded |= {
            test.node.name
            for test in every
            if isinstance(test, nodes.Test)
            and test.name in ("defined", "undefined")
            and isinstance(test.node, nodes.Name)
        }
        if all(isinstance(node, nodes.Output | nodes.TemplateData) for node in every):
            self._static.add(name)
        self._mark_outputs(tree, name)
        branches = [node for node in every if isinstance(node, nodes.If | nodes.CondExpr | nodes.For)]
        for branch in branches:
            if branch.test is not None:
                branch.test = self._switch(cast(nodes.Expr, branch.test), name)

    def _mark(self, name: str, line: int) -> str:
        number = self._numbers.setdefault(Place(name, line), len(self._numbers))
        return chr(min(_FIRST_MARK + number, _LAST_MARK))

    def _mark_outputs(self, tree: nodes.Node, name: str) -> None:
        for node in tree.iter_child_nodes():
            if isinstance(node, nodes.AssignBlock | nodes.FilterBlock):
                continue  # Their text is a value before it is printed; marks would change it.
            if isinstance(node, nodes.Output):
                node.nodes = [part for item in node.nodes for part in self._marked(item, name)]
            self._mark_outputs(node, name)

    def _marked(self, item: nodes.Expr, name: str) -> Iterator[nodes.Expr]:
        if isinstance(item, nodes.TemplateData):
            lines = enumerate(item.data.split("\n"), item.lineno)
            marked = "\n".join(self._mark(name, number) + line for number, line in lines)
            yield nodes.TemplateData(marked, lineno=item.lineno, environment=self)
            return
        parts: list[Any] = [item, *item.find_all(nodes.Node)]
        line = min(part.lineno for part in parts if part.lineno is not None)  # A slice has none.
        yield nodes.TemplateData(self._mark(name, line), lineno=line, environment=self)
        for keyed in _xmlattr_keys(item):
            keyed.value = self._mark(name, keyed.lineno) + keyed.value
        yield item

    def _switch(self, test: nodes.Expr, name: str) -> nodes.Call:
        self.switches.append(Place(name, test.lineno))
        number = nodes.Const(len(self.switches) - 1, lineno=test.lineno, environment=self)
        function = nodes.EnvironmentAttribute("take", lineno=test.lineno, environment=self)
        return nodes.Call(function, [number, test], [], None, None, lineno=test.lineno, environment=self)

    # --- while it is rendered -------------------------------------------------------------------

    def take(self, number: int, natural: object) -> bool:
        """Called by templates for each condition: the way to go."""
        forced = self._trace.forced.get(number)
        outcome = bool(natural) if forced is None else forced
        self._trace.outcomes[number].add(outcome)
        return outcome

    def family(self, name: str) -> set[str]:
        """A template and all that it includes, extends or imports by a fixed name."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            if (current := waiting.pop()) not in found:
                found.add(current)
                try:
                    self.get_template(current)
                except (TemplateNotFound, TemplateSyntaxError, OSError, UnicodeError, RecursionError):
                    continue  # It shows when the template is rendered.
                waiting += filter(None, self._relatives[current])
        return found

    def _read_by(self, relatives: set[str]) -> frozenset[str]:
        """The fields of a context on which a rendering can depend."""
        if any(None in self._relatives.get(name, ()) for name in relatives):
            return FIELDS  # What it includes has a computed name, and may read any.
        return FIELDS & {read for name in relatives for read in self._names.get(name, ())}

    def renderings(
        self, name: str, settings: Mapping[str, Any] | None = None
    ) -> Iterator[Rendering | Failure]:
        """A template filled in with every sample, then along every way that none of them took.

        ``settings`` are the fields of the context that are the same on every call; without any, they are
        made up.

        A template without anything to fill in is given once, without a label.
        """
        relatives = self.family(name)
        self._trace = _Trace({})
        if name in self._static:
            yield from self._render(name, Sample("", PLAIN))
            return
        mentioned: defaultdict[str, set[str]] = defaultdict(set)
        for member in relatives:
            for variable, word in self._mentioned.get(member, ()):
                mentioned[variable].add(word)
        read = self._read_by(relatives)
        todo: deque[tuple[Sample, dict[int, bool]]] = deque(
            (sample, {}) for sample in _distinct(samples(mentioned, settings, read), read)
        )
        reached: dict[int, tuple[Sample, dict[int, bool]]] = {}
        taken: defaultdict[int, set[bool]] = defaultdict(set)
        for _ in range(MOST_RENDERINGS):
            if not todo:
                todo += _untried(reached, taken)
                if not todo:
                    return
            sample, forced = todo.popleft()
            self._trace = _Trace(forced)
            for outcome in self._render(name, sample):
                yield outcome
                if isinstance(outcome, Failure) and isinstance(outcome.error, RecursionError):
                    return  # The same each time, and slow.
            for number, outcomes in self._trace.outcomes.items():
                reached.setdefault(number, (sample, forced))
                taken[number] |= outcomes

    def with_samples(self, name: str, samples: Iterable[Sample]) -> Iterator[Rendering | Failure]:
        """A template filled in with these samples, along the ways that they take by themselves."""
        for sample in _distinct(samples, self._read_by(self.family(name))):
            self._trace = _Trace({})
            yield from self._render(name, sample)

    def _render(self, name: str, sample: Sample) -> Iterator[Rendering | Failure]:
        forced = self._trace.forced
        conditions = [
            f"the condition at {self.switches[number].template}:{self.switches[number].line} "
            f"taken as {str(way).lower()}"
            for number, way in forced.items()
        ]
        label = " and ".join([sample.label, *conditions])
        values = variables(sample.context) | {"parameters": dict(sample.context.parameters)}
        try:
            marked = self.get_template(name).render(values)
        except Exception as error:  # Whatever a template can raise.
            if not forced or self._counts(error):
                yield Failure(error, self._place_of(error, name), label)
            return
        yield self._unmarked(marked, name, label, sample)

    def _counts(self, error: Exception) -> bool:
        """Whether an error on a forced way is one: values may not fit there, but names have to exist."""
        if isinstance(error, TemplateNotFound | TemplateSyntaxError):
            return True
        name = undefined_name(error)
        return name is not None and name not in self._guarded

    def _unmarked(self, marked: str, name: str, label: str, sample: Sample) -> Rendering:
        pieces: list[str] = []
        offsets, places = [0], [Place(name, 1)]
        marks = list(self._numbers)
        length = end = 0
        for match in _MARK.finditer(marked):
            pieces.append(marked[end : match.start()])
            length += len(pieces[-1])
            end = match.end()
            offsets.append(length)
            places.append(marks[ord(match[0]) - _FIRST_MARK])
        pieces.append(marked[end:])
        text, forced = "".join(pieces), bool(self._trace.forced)
        return Rendering(text, label, forced, sample.invented, offsets, places)

    def _place_of(self, error: Exception, name: str) -> Place:
        if isinstance(error, TemplateSyntaxError):
            return Place(error.name or name, error.lineno)
        place = Place(name, 1)
        step: TracebackType | None = error.__traceback__
        while step is not None:
            if (template := self._files.get(step.tb_frame.f_code.co_filename)) is not None:
                place = Place(template, step.tb_lineno)
            step = step.tb_next
        return place


def _distinct(samples: Iterable[Sample], read: frozenset[str]) -> Iterator[Sample]:
    """The first of each set of samples that have the same in the fields that are read."""
    seen: set[str] = set()
    for sample in samples:
        key = repr((sample.invented, [getattr(sample.context, name) for name in read]))
        if key not in seen:
            seen.add(key)
            yield sample


def _untried(
    reached: dict[int, tuple[Sample, dict[int, bool]]], taken: defaultdict[int, set[bool]]
) -> Iterator[tuple[Sample, dict[int, bool]]]:
    for number, (sample, forced) in reached.items():
        for way in {True, False} - taken[number]:
            taken[number].add(way)
            yield sample, forced | {number: way}


def _mentions(every: Iterable[nodes.Node]) -> Iterator[tuple[str, str]]:
    """Each variable with each word that it is compared with."""
    for comparison in every:
        if not isinstance(comparison, nodes.Compare):
            continue
        names = [item.name for item in comparison.find_all(nodes.Name)]
        words = [item.value for item in comparison.find_all(nodes.Const) if isinstance(item.value, str)]
        yield from ((name, word) for name in names for word in words)


def _xmlattr_keys(item: nodes.Expr) -> Iterator[Any]:
    """The keys of ``{"name": value, …} | xmlattr``: each is printed from a line of its own."""
    if isinstance(item, nodes.Filter) and item.name == "xmlattr" and isinstance(item.node, nodes.Dict):
        for pair in item.node.items:
            if isinstance(pair.key, nodes.Const) and isinstance(pair.key.value, str):
                yield pair.key


def undefined_name(error: Exception) -> str | None:
    """The name of the variable that a template used although there is none such."""
    if not isinstance(error, UndefinedError):
        return None
    match = re.fullmatch(r"'(\w+)' is undefined", error.message or "")
    return match[1] if match else None
