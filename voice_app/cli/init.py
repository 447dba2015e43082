"""``voice-app init``: what people change, or one of the examples, written into a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Final

import typer

NEXT: Final = """\

Next, in {folder}:

  VOICE_APP_AGENT=my_agent:agent voice-app serve
  voice-app call --say "Where is order 81?" --expect "leaves today"     # in another terminal
  voice-app rehearse my_agent.yaml                      # the same as a test, without either

The agents that are built in read your files with VOICE_APP_RECEPTIONIST=receptionist.toml and
VOICE_APP_PROMPT=prompt.md; twiml_templates/ is used wherever you start voice-app in this folder.
"""
NEXT_OF_AN_EXAMPLE: Final = """\

Next, in {folder}:

  pytest                     # its tests; they need pip install 'voice-app[testing]'
  voice-app rehearse .       # its scenarios
  voice-app serve            # it reads .env; phone it with `voice-app call` in another terminal

The page `examples` tells about it: voice-app docs examples
"""


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where to; without, the working directory.")
    ] = Path(),
    example: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Write an example instead: receptionist, chat or own-agent."),
    ] = None,
) -> None:
    """Write an agent, its test, a rehearsed call, and what built-in agents and TwiML are made from.

    With --example it is one of three agents that are ready to be phoned, with their tests and scenarios.
    Nothing that is there already is touched.

    Example: voice-app init my-agent
    """
    kept = 0
    try:
        for name, source in _starter() if example is None else _example(example):
            target = folder / name
            if target.exists():
                kept += 1
                typer.echo(f"kept     {target}")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            typer.echo(f"written  {target}")
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be written: {error.strerror}.") from None
    if kept:
        typer.echo("\nWhat was there was kept: move it away to get the file that ships.")
    following = NEXT if example is None else NEXT_OF_AN_EXAMPLE
    typer.echo(following.format(folder=folder.resolve()), nl=False)


def _starter() -> Iterator[tuple[str, Traversable | Path]]:
    """Each file with its name in the folder, and the file that ships."""
    from voice_app.twiml import shipped_folder

    starter, agents = files("voice_app.cli.starter"), files("voice_app.agents")
    for name in ("my_agent.py", "test_my_agent.py", "my_agent.yaml"):
        yield name, starter / name
    for name in ("receptionist.toml", "prompt.md"):
        yield name, agents / name
    for path in sorted(shipped_folder().glob("*.xml")):
        yield f"twiml_templates/{path.name}", path


def _example(name: str) -> Iterator[tuple[str, Traversable]]:
    """The files of an example. Raises `typer.BadParameter`."""
    from voice_app.cli.output import meant

    found = {item.name: item for item in files("voice_app.docs").joinpath("examples").iterdir()}
    if name not in found:
        near = meant(name, found) or f"there are {', '.join(sorted(found))}."
        raise typer.BadParameter(f"--example: there is no example {name!r}: {near}")
    yield from sorted((file.name, file) for file in found[name].iterdir() if file.is_file())
