"""``check --fix`` next to somebody else who writes."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from rich.console import Console

from voice_app.cli.check_report import CheckOptions, _make
from voice_app.guard.repair import Repair, RulesChangedError, proven
from voice_app.sandbox.twilio import Behaviour, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.twilio import Configurations, Credentials, TwilioApi
from voice_app.twilio.models import Operation

RULE = {"from": "*", "to": "+15550100001", "metadata": {"callType": "PSTN"}}
LATER = {"from": "+15550100001", "to": "*", "metadata": {"callType": "PSTN"}}
TIMEOUTS = {"inactive": 5, "closed": 30}


@pytest.fixture(params=[True, False], ids=["PATCH", "PUT"])
def account(request: pytest.FixtureRequest) -> SandboxAccount:
    return SandboxAccount(token="t", behaviour=Behaviour(retry_after=0, patch=request.param))


@pytest.fixture
async def configurations(account: SandboxAccount) -> AsyncIterator[Configurations]:
    async with serve(double_app(account)) as base_url, aiohttp.ClientSession() as session:
        yield Configurations(TwilioApi(session, Credentials(account.sid, "t"), base_url=base_url))


async def captured(account: SandboxAccount, configurations: Configurations) -> tuple[Repair, dict[str, Any]]:
    """The repair of a configuration that somebody has looked at, and the configuration as it is stored."""
    voice = {"statusTimeouts": TIMEOUTS, "captureRules": [RULE]}
    configuration_id = account.add_configuration(channelSettings={"VOICE": voice})
    return Repair(await configurations.fetch(configuration_id)), account.configurations[configuration_id]


def change(stored: dict[str, Any], **fields: Any) -> None:
    """What somebody else writes."""
    stored |= {**fields, "version": stored["version"] + 1}


async def test_what_somebody_else_changed_before_the_write_survives(
    account: SandboxAccount, configurations: Configurations
) -> None:
    repair, stored = await captured(account, configurations)
    voice = stored["channelSettings"]["VOICE"] | {"statusTimeouts": {"inactive": 9, "closed": 90}}
    change(stored, description="theirs", channelSettings={"VOICE": voice})
    update = await repair.make(configurations)
    after = account.configurations[repair.configuration.id]
    assert after["description"] == "theirs"
    assert after["channelSettings"]["VOICE"]["statusTimeouts"] == {"inactive": 9, "closed": 90}
    assert not after["channelSettings"]["VOICE"]["captureRules"]
    assert proven(update)
    assert not update.raced


async def test_what_somebody_else_changes_during_the_write_is_told(
    account: SandboxAccount, configurations: Configurations
) -> None:
    repair, _ = await captured(account, configurations)

    def meddle(operation: Operation) -> None:
        if operation.status == "PENDING":
            change(account.configurations[repair.configuration.id], displayName="theirs")

    update = await repair.make(configurations, meddle)
    assert update.raced


async def test_a_rule_that_came_meanwhile_stops_the_change(
    account: SandboxAccount, configurations: Configurations
) -> None:
    repair, stored = await captured(account, configurations)
    voice = {"statusTimeouts": TIMEOUTS, "captureRules": [RULE, LATER]}
    change(stored, channelSettings={"VOICE": voice})
    with pytest.raises(RulesChangedError) as caught:
        await repair.make(configurations)
    assert caught.value.now.rules == [RULE, LATER]
    assert account.configurations[repair.configuration.id]["channelSettings"]["VOICE"] == voice


@pytest.mark.parametrize("yes", [True, False])
async def test_a_rule_that_came_meanwhile_is_shown_before_it_goes(
    account: SandboxAccount, configurations: Configurations, yes: bool
) -> None:
    repair, stored = await captured(account, configurations)
    change(stored, channelSettings={"VOICE": {"statusTimeouts": TIMEOUTS, "captureRules": [RULE, LATER]}})
    shown = io.StringIO()
    options = CheckOptions(as_json=True, strict=False, fix=True, yes=yes)
    update = await _make(repair, configurations, Console(file=shown, width=200), options)
    assert json.dumps(LATER["from"]) in shown.getvalue()
    assert (update is not None) is yes
    left = account.configurations[repair.configuration.id]["channelSettings"]["VOICE"]["captureRules"]
    assert left == ([] if yes else [RULE, LATER])
