"""``voice-app calls forget``: one caller is erased everywhere, and it is looked whether anything is left."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from support.commands import serving, voice_app
from support.double import served
from support.journals import THEN, talk, write
from voice_app.cli.main import app
from voice_app.journal import Journal, Selection
from voice_app.journal.events import (
    Called,
    Conversed,
    Event,
    Notified,
    Opened,
    Prompted,
    Stored,
)
from voice_app.sandbox.twilio import Behaviour, Fault, SandboxAccount, new_id
from voice_app.sandbox.twilio.memory_store import add_profile, remember
from voice_app.sandbox.twilio.records import SandboxCall

ANN, BOB, OURS = "+15550100001", "client:bob", "+15550100009"
ANN_CALL, ANN_AGAIN, BOB_CALL = (f"CA{number:032}" for number in range(3))
CONVERSATION = new_id("conv_conversation_")
Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``calls forget`` on a journal in which Ann has two calls and Bob has one."""
    journal: dict[str, list[Event]] = {
        ANN_CALL: [*talk(ANN), Conversed(CONVERSATION)],
        CONVERSATION: [Called(ANN_CALL), Notified("CONVERSATION_UPDATED")],
        BOB_CALL: talk(BOB),
        ANN_AGAIN: talk(OURS, ANN, direction="outbound-api"),
    }
    asyncio.run(write(database_url, journal))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICE_APP_DATABASE_URL", database_url)
    return lambda *arguments, **options: CliRunner().invoke(app, ["calls", "forget", *arguments], **options)


def kept(url: str) -> dict[str, int]:
    """How many events there are under each id."""

    async def read() -> dict[str, int]:
        async with Journal(url) as journal:
            ids = (ANN_CALL, ANN_AGAIN, BOB_CALL, CONVERSATION)
            return {item: len(await journal.events(item)) for item in ids}

    return asyncio.run(read())


def test_all_calls_of_the_caller_are_erased_and_nobody_else_s(run: Run, database_url: str) -> None:
    result = run("+1 (555) 010-0001", "--yes")
    assert result.exit_code == 0, result.output
    assert "Erased 2 calls with 11 events, and looked again: nothing is left." in result.output
    assert "--at-twilio erases them" in result.output
    assert kept(database_url) == {ANN_CALL: 0, ANN_AGAIN: 0, BOB_CALL: 4, CONVERSATION: 0}


def test_a_client_can_be_forgotten_too(run: Run, database_url: str) -> None:
    assert run(BOB, "--yes").exit_code == 0
    assert kept(database_url)[BOB_CALL] == 0
    assert kept(database_url)[ANN_CALL] == 5


def test_it_shows_what_would_be_erased_and_asks(run: Run, database_url: str) -> None:
    before = kept(database_url)
    result = run(ANN, input="n\n")
    assert result.exit_code == 0
    assert "calls   2, 2023-11-" in result.output
    assert "events  11" in result.output
    assert "Erase all of this? It cannot be undone." in result.output
    assert "Nothing was done." in result.output
    assert run(ANN, "--dry-run").exit_code == 0
    assert run(ANN).exit_code == 2
    assert kept(database_url) == before


def test_json_tells_what_was_erased(run: Run) -> None:
    told = json.loads(run(ANN, "--yes", "--json").stdout)
    assert told == {
        "address": ANN,
        "calls": [ANN_CALL, ANN_AGAIN],
        "events": 11,
        "conversations": [CONVERSATION],
        "files": [],
        "at_twilio": None,
        "erased": True,
        "failed": {},
        "left": [],
    }


def test_nobody_is_forgotten_twice(run: Run) -> None:
    run(ANN, "--yes")
    result = run(ANN, "--yes")
    assert (result.exit_code, result.output) == (0, f"There is nothing of {ANN}.\n")


def test_a_number_of_ours_is_refused(run: Run, database_url: str) -> None:
    result = run(OURS, "--yes")
    assert result.exit_code == 1
    assert "is a number of this server" in result.output
    assert kept(database_url)[BOB_CALL] == 4


@pytest.mark.parametrize("written", ["", "12", "ann", "555 010 0001"])
def test_what_nobody_calls_from_is_a_usage_error(run: Run, written: str) -> None:
    assert run(written, "--yes").exit_code == 2


def test_a_sandbox_is_named_only_for_what_is_erased_there(run: Run) -> None:
    result = run(ANN, "--url", "http://127.0.0.1:8000", "--yes")
    assert result.exit_code == 2
    assert "--url needs --at-twilio" in result.output


def test_a_number_in_the_writing_of_its_country(run: Run, database_url: str) -> None:
    assert run("555 010 0001", "--region", "US", "--yes").exit_code == 0
    assert kept(database_url)[ANN_CALL] == 0


def test_who_is_on_the_line_is_not_forgotten(run: Run, database_url: str) -> None:
    going_on: dict[str, list[Event]] = {"CA" + "f" * 32: [Opened(ANN, OURS, "inbound"), Prompted("Hello?")]}
    asyncio.run(write(database_url, going_on, at=time.time() - 60))
    result = run(ANN, "--yes")
    assert result.exit_code == 1
    assert f"CA{'f' * 32} is not over" in result.output
    assert kept(database_url)[ANN_CALL] == 5


def test_a_call_that_nobody_said_the_end_of_is_over_after_the_longest_call(
    run: Run, database_url: str
) -> None:
    asyncio.run(write(database_url, {"CA" + "f" * 32: [Opened(ANN, OURS, "inbound")]}, at=THEN))
    assert run(ANN, "--yes").exit_code == 0


def test_recordings_that_were_fetched_are_erased(
    run: Run, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICE_APP_RECORDINGS", str(tmp_path / "messages"))
    (tmp_path / "messages").mkdir()
    (tmp_path / "messages" / "one.mp3").write_bytes(b"...")
    messages: list[Event] = [Stored("RE1", "one.mp3", 3, "00"), Stored("RE2", "../elsewhere.mp3", 3, "00")]
    asyncio.run(write(database_url, {ANN_CALL: messages}))
    (tmp_path / "elsewhere.mp3").write_bytes(b"not in the folder")
    result = run(ANN, "--yes", "--json")
    assert list((tmp_path / "messages").iterdir()) == []
    assert (tmp_path / "elsewhere.mp3").exists()
    assert result.exit_code == 1
    assert json.loads(result.stdout)["left"] == ["../elsewhere.mp3"]
    assert "No such file" in result.stderr


def test_it_tells_that_events_wait_which_the_database_does_not_know_yet(run: Run, tmp_path: Path) -> None:
    (tmp_path / "voice-app-spool" / "0193b2c4").mkdir(parents=True)
    (tmp_path / "voice-app-spool" / "0193b2c4" / "00000001.log").write_bytes(b"")
    result = run(ANN, "--yes")
    assert result.exit_code == 0
    assert "Events wait in voice-app-spool" in result.output


class TestAtTwilio:
    @pytest.fixture
    def account(self) -> SandboxAccount:
        behaviour = Behaviour(operation_seconds=float("inf"), retry_after=0)
        return SandboxAccount("AC" + "1" * 32, "token", behaviour=behaviour)

    @pytest.fixture(autouse=True)
    def credentials(self, account: SandboxAccount, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        configuration_id = account.add_configuration()
        self.store = account.stores[account.configurations[configuration_id]["memoryStoreId"]]
        account.finished[ANN_CALL] = SandboxCall(ANN_CALL, ANN, OURS)
        person = add_profile(account, self.store, {"Contact": {"phone": ANN}})
        remember(account, person, {"content": "Rides a red bike.", "source": "test"})
        with served(account) as base_url:
            for name, value in {
                "TWILIO_ACCOUNT_SID": account.sid,
                "TWILIO_AUTH_TOKEN": "token",
                "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
                "TWILIO_CONVERSATION_CONFIGURATION_ID": configuration_id,
                "VOICE_APP_TWILIO_BASE_URL": base_url,
            }.items():
                monkeypatch.setenv(name, value)
            yield

    def test_everything_there_is_erased_as_well(
        self, run: Run, account: SandboxAccount, database_url: str
    ) -> None:
        bob = add_profile(account, self.store, {"Contact": {"phone": "+15550100002"}})
        result = run(ANN, "--at-twilio", "--yes")
        assert result.exit_code == 0, result.output
        assert "profiles at Twilio" in result.output
        assert list(self.store.profiles) == [bob.id]
        assert not account.finished
        assert kept(database_url)[ANN_CALL] == 0

    def test_what_fails_there_leaves_the_journal_with_the_ids(
        self, run: Run, account: SandboxAccount, database_url: str
    ) -> None:
        account.faults.add(Fault(path="*/Calls/*", method="DELETE", status=403))
        result = run(ANN, "--at-twilio", "--yes", "--json")
        assert result.exit_code == 3
        told = json.loads(result.stdout)
        assert (told["erased"], list(told["failed"])) == (False, [ANN_CALL])
        assert "Give the command once more" in result.stderr
        assert kept(database_url)[ANN_CALL] == 5
        assert run(ANN, "--at-twilio", "--yes").exit_code == 0
        assert kept(database_url)[ANN_CALL] == 0

    def test_a_twilio_that_cannot_be_asked_stops_it_before_anything_is_erased(
        self, run: Run, account: SandboxAccount, database_url: str
    ) -> None:
        account.faults.add(Fault(status=401, times=None))
        result = run(ANN, "--at-twilio", "--yes")
        assert result.exit_code == 3
        assert "Check TWILIO_ACCOUNT_SID" in result.output
        assert kept(database_url)[ANN_CALL] == 5

    def test_who_is_no_longer_in_the_journal_is_still_looked_for(
        self, run: Run, account: SandboxAccount
    ) -> None:
        assert run(ANN, "--yes").exit_code == 0
        result = run(ANN, "--at-twilio", "--yes")
        assert result.exit_code == 0, result.output
        assert not self.store.profiles

    def test_a_dry_run_tells_what_there_is(self, run: Run) -> None:
        told = json.loads(run(ANN, "--at-twilio", "--dry-run", "--json").stdout)
        assert told["at_twilio"] == {
            "conversations": [],
            "operator results": [],
            "profiles": list(self.store.profiles),
            "recordings": [],
            "records of calls": [ANN_CALL, ANN_AGAIN],
        }
        assert told["erased"] is False


async def test_a_caller_is_forgotten_while_the_server_runs_and_may_call_again(
    database_url: str, tmp_path: Path
) -> None:
    caller, url = "+15550100077", {"VOICE_APP_DATABASE_URL": database_url}
    async with serving(tmp_path, **url) as base_url, Journal(database_url, create=False) as journal:

        async def phoned() -> str:
            """The SID of a call that is over."""
            spoken = ("--say", "When are you open?", "--pace", "300")
            arguments = ("--url", f"{base_url}/voice", "--from", caller, *spoken)
            finished = await voice_app(tmp_path, "call", *arguments)
            assert finished.code == 0, finished.err
            async with asyncio.timeout(20):
                while True:
                    async for call in journal.select(Selection(address=caller)):
                        if call.closed_at is not None:
                            return call.call_sid
                    await asyncio.sleep(0.05)

        first = await phoned()
        arguments = ("--at-twilio", "--url", base_url, "--yes", "--json")
        forgotten = await voice_app(tmp_path, "calls", "forget", caller, *arguments, **url)
        assert forgotten.code == 0, forgotten.err + forgotten.out
        told = json.loads(forgotten.out)
        assert (told["calls"], told["left"], told["failed"]) == ([first], [], {})
        assert len(told["at_twilio"]["conversations"]) == len(told["at_twilio"]["profiles"]) == 1
        assert await journal.events(first) == []
        assert await phoned() != first
