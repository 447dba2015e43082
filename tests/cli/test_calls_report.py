from __future__ import annotations

import json
from pathlib import Path

from support.commands import voice_app
from support.journals import talk, write

CALL = "CA" + "7" * 32


async def test_the_report_of_a_call_can_be_printed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    await write(url, {CALL: talk("+15550199999")})
    result = await voice_app(tmp_path, "calls", "report", CALL, VOICE_APP_DATABASE_URL=url)
    assert result.code == 0
    document = json.loads(result.out)
    assert (document["type"], document["version"], document["call_sid"]) == ("call.report", 1, CALL)
    assert [line["who"] for line in document["dialogue"]] == ["caller", "agent"]


async def test_there_is_none_of_a_call_that_nobody_knows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    await write(url, {CALL: talk("+15550199999")})
    result = await voice_app(tmp_path, "calls", "report", "CA0", VOICE_APP_DATABASE_URL=url)
    assert result.code == 2
    assert "There is no call CA0" in result.err
