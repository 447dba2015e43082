"""The files of scripts/deploy/ name what there is: settings, routes, ports, and times that fit together."""

from __future__ import annotations

import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml

from support.tools import required
from voice_app.app import build, build_services
from voice_app.cli.main import COMMANDS
from voice_app.server.drain import SECONDS_FOR_GOODBYE, SECONDS_TO_ASK
from voice_app.server.serving import SECONDS_TO_STOP
from voice_app.settings import Settings, environment_name
from voice_app.webhooks.responses import LAST_RESORT

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "scripts/deploy"
UNIT = (DEPLOY / "voice-app.service").read_text("utf-8")
CONTAINER = (DEPLOY / "Containerfile").read_text("utf-8")
NGINX = (DEPLOY / "nginx.conf").read_text("utf-8")
DEFAULTS = Settings.model_construct()

LONGEST_DRAIN = DEFAULTS.drain_seconds + 2 * SECONDS_TO_ASK + SECONDS_FOR_GOODBYE + SECONDS_TO_STOP
"""From SIGTERM to the exit."""


def kubernetes() -> dict[str, Any]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8"))
    return {document["kind"]: document for document in documents}


def pod() -> Any:
    return kubernetes()["Deployment"]["spec"]["template"]["spec"]


def container() -> Any:
    (only,) = pod()["containers"]
    return only


def instructions(name: str) -> list[str]:
    """The arguments of a Containerfile's instructions of one kind."""
    joined = CONTAINER.replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


async def routes() -> set[str]:
    settings = Settings.model_construct(
        account_sid="AC" + "1" * 32, public_domain="voice.example.com", database_url="sqlite://"
    )
    return {route.path for route in build(build_services(settings, None)).routes}  # type: ignore[arg-type,attr-defined]


def test_every_setting_in_them_is_one() -> None:
    settings = {environment_name(field) for field in Settings.model_fields}
    for path in DEPLOY.iterdir():
        named = set(re.findall(r"\b(?:VOICE_APP|TWILIO|OPENAI)_[A-Z_]+\b", path.read_text("utf-8")))
        assert named <= settings, path.name


# --- systemd ---------------------------------------------------------------------------------------


def unit() -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)  # a filter of system calls is named twice
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT)
    return parser


def test_systemd_starts_the_server_and_waits_for_its_drain() -> None:
    service = unit()["Service"]
    program, command = service["ExecStart"].split()
    assert Path(program).name == "voice-app"
    assert command == "serve" in COMMANDS
    assert service["Type"] == "exec"
    assert service["KillSignal"] == "SIGTERM"
    assert service["Restart"] == "always"
    assert int(service["TimeoutStopSec"]) > LONGEST_DRAIN
    assert f"VOICE_APP_DRAIN_SECONDS ({DEFAULTS.drain_seconds:g})" in UNIT


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    verifier = required("systemd-analyze")
    installed = tmp_path / "voice-app.service"
    program = unit()["Service"]["ExecStart"].split()[0]
    installed.write_text(UNIT.replace(program, sys.executable))
    done = subprocess.run([verifier, "verify", str(installed)], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if installed.name in line]) == (0, [])


# --- the image -------------------------------------------------------------------------------------


def test_the_image_is_made_of_what_is_there() -> None:
    for arguments in instructions("COPY"):
        if not arguments.startswith("--from"):
            *sources, _ = arguments.split()
            assert all((ROOT / source).exists() for source in sources)


async def test_the_image_runs_the_server_as_somebody_without_rights() -> None:
    assert instructions("CMD")[-1] == '["voice-app", "serve"]'
    assert instructions("EXPOSE") == [str(DEFAULTS.port)]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    (user,) = instructions("USER")
    assert int(user) > 0
    assert f"--uid {user} " in CONTAINER
    (check,) = instructions("HEALTHCHECK")
    (asked,) = re.findall(rf"http://127\.0\.0\.1:{DEFAULTS.port}(/\w+)", check)
    assert asked in await routes()
    (given,) = re.findall(r"--stop-timeout (\d+)", CONTAINER)
    assert int(given) > LONGEST_DRAIN


def test_the_health_check_of_the_image_is_python() -> None:
    (check,) = instructions("HEALTHCHECK")
    (script,) = re.findall(r'"-c", "(.+)"\]', check)
    compile(script, "HEALTHCHECK", "exec")


# --- Kubernetes ------------------------------------------------------------------------------------


async def test_kubernetes_asks_routes_that_there_are() -> None:
    ours = container()
    assert ours["startupProbe"]["httpGet"]["path"] == ours["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert ours["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {"/healthz", "/readyz"} <= await routes()
    ports = {port["name"]: port["containerPort"] for port in ours["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert ours[probe]["httpGet"]["port"] in ports
    assert kubernetes()["Service"]["spec"]["ports"][0]["targetPort"] in ports
    given = {item["name"]: item["value"] for item in ours["env"]}
    assert int(given["VOICE_APP_PORT"]) == ports["http"]


def test_kubernetes_gives_a_drain_its_time() -> None:
    given = {item["name"]: item["value"] for item in container()["env"]}
    assert float(given["VOICE_APP_DRAIN_SECONDS"]) == DEFAULTS.drain_seconds
    _, seconds = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert pod()["terminationGracePeriodSeconds"] > LONGEST_DRAIN + int(seconds)


def test_kubernetes_keeps_a_server_for_the_calls_of_another() -> None:
    spec = kubernetes()["Deployment"]["spec"]
    assert spec["replicas"] > 1
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert kubernetes()["PodDisruptionBudget"]["spec"]["minAvailable"] >= 1
    labels = spec["template"]["metadata"]["labels"]
    for selector in (
        spec["selector"]["matchLabels"],
        kubernetes()["Service"]["spec"]["selector"],
        kubernetes()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()


def test_kubernetes_runs_the_image_as_its_user_and_lets_it_write_to_its_folder() -> None:
    (user,) = instructions("USER")
    assert pod()["securityContext"]["runAsUser"] == int(user)
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    (folder,) = instructions("WORKDIR")[-1:]
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    assert mounts.keys() == {folder, "/tmp"}
    assert set(mounts.values()) == {volume["name"] for volume in pod()["volumes"]}


# --- nginx -----------------------------------------------------------------------------------------


async def test_every_place_of_nginx_is_a_route_or_the_beginning_of_one() -> None:
    paths = await routes()
    for place in re.findall(r"(?m)^\s*location (?:= )?(/\S*) \{", NGINX):
        assert any(path.startswith(place) for path in paths), place


def test_who_finds_no_server_hears_what_the_server_would_say_last() -> None:
    (said,) = re.findall(r"return 200 '(.*?)';", NGINX, re.DOTALL)
    assert said == LAST_RESORT
