"""What is installed: the rival's environment, and how much disk a package takes with all that it needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[3]
TAC: Final = "twilio-agent-connect[server]==2.5.0"
OPENAI: Final = "openai==3.57.0"
TAC_ENVIRONMENT: Final = ROOT / ".venv/rivals/tac-2.5.0"
FLOOR: Final = ("uvicorn", "uvloop", "httptools", "websockets")


class InstallationError(Exception):
    """An environment could not be made. The text ends with what pip said."""


def tac_python() -> Path:
    """The rival's interpreter; its environment is made when there is none yet.

    Raises `InstallationError`.
    """
    python = TAC_ENVIRONMENT / "bin/python"
    done = TAC_ENVIRONMENT / "installed"
    wanted = f"{TAC} {OPENAI}\n"
    if not done.exists() or done.read_text() != wanted:
        _run(sys.executable, "-m", "venv", str(TAC_ENVIRONMENT))
        _run(str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", TAC, OPENAI)
        done.write_text(wanted)
    return python


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise InstallationError(f"`{' '.join(command)}` failed: {result.stderr.strip()[-1000:]}")


def site_packages(environment: Path) -> Path:
    """Where an environment keeps its packages."""
    return next((environment / "lib").glob("python3*/site-packages"))


def installed_megabytes(wanted: tuple[str, ...], *folders: Path) -> float:
    """The files of some packages and of all that they need, without compiled bytecode, in 10^6 bytes.

    ``folders`` are searched for them; none are those of this process.
    """
    path = [str(folder) for folder in folders] or sys.path
    there = {_name(item.name): item for item in distributions(path=path)}
    needed = closure(wanted, {name: item.requires or [] for name, item in there.items()})
    return sum(_bytes(there[name]) for name in needed) / 1e6


def our_megabytes() -> float:
    """The same of this project, as it is installed without extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return installed_megabytes(tuple(project["dependencies"])) + _size((ROOT / "voice_app").rglob("*")) / 1e6


def closure(wanted: tuple[str, ...], requires: Mapping[str, list[str]]) -> set[str]:
    """The names of what some requirements need, with all that those need; what is not there is left out."""
    found: dict[str, set[str]] = {}
    waiting = [Requirement(text) for text in wanted]
    while waiting:
        requirement = waiting.pop()
        name, extras = _name(requirement.name), set(requirement.extras) | {""}
        fresh = extras - found.get(name, set())
        if name not in requires or not fresh:
            continue
        found.setdefault(name, set()).update(fresh)
        for text in requires[name]:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in fresh):
                waiting.append(needed)
    return set(found)


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _bytes(distribution: Distribution) -> int:
    return _size(Path(str(item.locate())) for item in distribution.files or [])


def _size(paths: Iterable[Path]) -> int:
    kept = (path for path in paths if path.suffix != ".pyc" and path.is_file())
    return sum(path.stat().st_size for path in kept)
