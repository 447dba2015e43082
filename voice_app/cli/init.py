"""``voice-app init``: what people change, written into a folder of their own."""

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


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where to; without, the working directory.")
    ] = Path(),
) -> None:
    """Write an agent, its test, a rehearsed call, and what built-in agents and TwiML are made from.

    Nothing that is there already is touched.

    Example: voice-app init my-agent
    """
    kept = 0
    try:
        for name, source in _starter():
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
    typer.echo(NEXT.format(folder=folder.resolve()), nl=False)


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
