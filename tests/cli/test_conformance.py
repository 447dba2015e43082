"""``voice-app conformance``, from outside."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from support.commands import serving, voice_app
from support.relay_backend import ACCOUNT, END, ORIGIN, TOKEN, Fault, RelayBackend
from voice_app.settings import SANDBOX_AUTH_TOKEN
from voice_app.testing.conformance import CASES

FEW = (
    "--only",
    "handshake",
    "--only",
    "prompt",
    "--only",
    "socket-*",
    "--only",
    "end",
    "--quiet-seconds",
    "0.1",
)


async def test_a_server_in_the_sandbox_is_tried_as_it_stands(tmp_path: Path) -> None:
    async with serving(tmp_path, VOICE_APP_AGENT="support.agents:conformant") as base_url:
        url, told = f"{base_url}/voice", ("--end-say", END, "--auth-token", SANDBOX_AUTH_TOKEN)
        done = await voice_app(tmp_path, "conformance", "--url", url, *told, *FEW)
        without = await voice_app(tmp_path, "conformance", "--url", url, *FEW)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("8 cases: 8 pass, 0 fail, 0 warn, 0 skip.\n")
    assert without.out.endswith("8 cases: 2 pass, 0 fail, 0 warn, 6 skip.\n")
    assert "needs the account's token: --auth-token" in without.out


async def test_what_a_caller_hears_stands_beside_what_fails(tmp_path: Path) -> None:
    backend = RelayBackend(Fault(kind="checks nothing"))
    async with backend.serving() as base_url:
        url = f"{base_url.replace('http', 'ws')}/relay/any"
        told = ("--origin", ORIGIN, "--auth-token", TOKEN, "--account-sid", ACCOUNT, "--junit", "found.xml")
        done = await voice_app(tmp_path, "conformance", url, *told, *FEW)
    assert (done.code, done.err) == (1, "")
    assert "socket-unsigned" in done.out
    assert f"heard: {CASES['socket-unsigned'].heard}" in done.out
    assert f"source: {CASES['socket-unsigned'].source} (rule)" in done.out
    assert ElementTree.parse(tmp_path / "found.xml").getroot().get("failures") == "3"


async def test_json_is_one_document_with_every_case(tmp_path: Path) -> None:
    async with RelayBackend(Fault()).serving() as base_url:
        told = ("--origin", ORIGIN, "--auth-token", TOKEN, "--account-sid", ACCOUNT)
        done = await voice_app(tmp_path, "conformance", "--url", f"{base_url}/voice", "--json", *told, *FEW)
    report = json.loads(done.out)
    assert report["backend"] == f"{base_url}/voice"
    assert {case["name"]: case["outcome"] for case in report["cases"] if case["outcome"] != "pass"} == {
        "end": "skip"
    }


async def test_the_cases_are_listed_without_a_backend(tmp_path: Path) -> None:
    listed = await voice_app(tmp_path, "conformance", "--list")
    assert (listed.code, listed.err) == (0, "")
    assert all(case.sends in listed.out and case.source in listed.out for case in CASES.values())
    some = await voice_app(tmp_path, "conformance", "--list", "--json", "--only", "key-*")
    assert {case["name"] for case in json.loads(some.out)["cases"]} == {
        name for name in CASES if name.startswith("key-")
    }


async def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    async with RelayBackend(Fault()).serving() as base_url:
        url = f"{base_url.replace('http', 'ws')}/relay/any"
        told = ("--origin", ORIGIN, "--auth-token", TOKEN, "--junit", "nowhere/found.xml")
        done = await voice_app(tmp_path, "conformance", url, "--only", "handshake", *told)
    assert done.code == 2
    assert done.err.startswith("Error: --junit nowhere/found.xml cannot be written: No such file")
