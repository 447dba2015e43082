"""What a server's settings allow beside the vocabulary, the sandbox's phone takes as Twilio would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.sandbox import sandbox

NEW = """<Response><Brandish pace="slow"><Inside/></Brandish>
<Connect action="{{ action_url }}"><ConversationRelay url="{{ relay_url }}" sparkle="yes"
welcomeGreeting="Hello."/></Connect></Response>"""


def template(folder: Path) -> Path:
    own = folder / "mine"
    own.mkdir()
    (own / "answer.xml").write_text(NEW)
    return own


async def test_an_allowed_verb_and_an_allowed_attribute_are_no_problem(tmp_path: Path) -> None:
    allowed: dict[str, Any] = {
        "allow_elements": frozenset({"Brandish"}),
        "allow_attributes": frozenset({"sparkle"}),
    }
    async with sandbox(tmp_path, templates=template(tmp_path), **allowed) as server:
        async with server.call() as call:
            assert (await call.reply()).text == "Hello."
        async with server.http.get(server.base_url + "/sandbox.json") as response:
            told = await response.json()
    assert (told["allow_elements"], told["allow_attributes"]) == (["Brandish"], ["sparkle"])
    assert call.problems == ["<Brandish> is not simulated by this phone; it went on to the next verb"]


async def test_the_same_is_refused_without_the_settings(tmp_path: Path) -> None:
    async with sandbox(tmp_path, templates=template(tmp_path)) as server, server.call() as call:
        await call.ended()
    assert any("12200" in problem and "Brandish" in problem for problem in call.problems)
