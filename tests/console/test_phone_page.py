"""The sandbox's phone in a real browser: a call that is typed."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from support.chromium import check_accessible, visit
from support.sandbox import REAL, sandbox
from support.visitors import users_file

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_somebody_phones_cuts_in_presses_keys_and_hangs_up(browser: Browser, tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, visit(browser, server, "/console/phone") as page:
        heard = page.locator("#heard")
        await check_accessible(page)
        await page.get_by_label("Words a second").fill("20")
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(heard).to_contain_text("How can I help you?")
        await expect(page.locator("#documents pre")).to_contain_text("ConversationRelay")
        await page.get_by_label("What you say").fill("What are your opening hours, and where are you?")
        await page.keyboard.press("Enter")
        await expect(heard.locator(".agent").nth(1).locator(".said")).to_contain_text("We are open")
        await page.get_by_label("What you say").fill("Sorry, only Saturday.")
        await page.keyboard.press("Enter")
        await expect(heard.get_by_text("cut in")).to_be_visible()
        await expect(page.locator("#frames")).to_contain_text('"type": "interrupt"')
        await expect(page.locator("#latency")).to_contain_text("median")
        await page.get_by_role("button", name="1", exact=True).click()
        await expect(heard.locator(".caller").nth(2)).to_contain_text("(pressed 1)")
        async with page.context.expect_page() as opened:
            await page.get_by_role("link", name="The page of this call").click(modifiers=["Control"])
        call = await opened.value
        await expect(call.locator("#dialogue del").first).to_be_visible()
        await check_accessible(page)
        await page.get_by_role("button", name="Hang up", exact=True).click()
        await expect(heard).to_contain_text("The call is over")
        await expect(page.get_by_role("status").first).to_contain_text("not on the line")
        await expect(call.locator("#call-head")).to_contain_text("over")


SPEECH = """
window.SpeechRecognition = class {
  start() { window.ear = this; }
  stop() { this.onend(); }
};
window.spoken = [];
Object.defineProperty(window, "speechSynthesis", { value: {
  speak: ({ text }) => spoken.push(text),
  cancel: () => spoken.push(null),
} });
"""
"""What a browser with a microphone and a voice has: no Chromium without a display does."""


async def test_who_would_rather_talk_than_type_speaks_and_listens(browser: Browser, tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, visit(browser, server, "/console/phone") as page:
        await page.add_init_script(SPEECH)
        await page.reload()
        heard = page.locator("#heard")
        await page.get_by_label("Words a second").fill("20")
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(heard).to_contain_text("How can I help you?")
        await page.get_by_role("button", name="Read aloud").click()
        listen = page.get_by_role("button", name="Speak", exact=True)
        await listen.click()
        await expect(listen).to_have_attribute("aria-pressed", "true")
        assert await page.evaluate("ear.continuous && ear.lang") == "en-GB"
        heard_by_it = [[{"transcript": "Hm."}], [{"transcript": " When are you open? "}]]
        await page.evaluate("(results) => ear.onresult({ resultIndex: 1, results })", heard_by_it)
        await expect(heard.locator(".caller")).to_have_text(["callerWhen are you open?"])
        answer = heard.locator(".agent").nth(1).locator(".said:not(.partial)")
        await expect(answer).to_contain_text("open")
        spoken = await page.evaluate("spoken.filter((text) => text !== null)")
        assert " ".join(spoken) == await answer.text_content()
        assert len(spoken) > 1  # clause by clause, as the words come
        await page.evaluate("""ear.onerror({ error: "not-allowed" })""")
        await expect(page.get_by_text("The browser does not listen: not-allowed")).to_be_visible()
        await listen.click()
        await expect(listen).to_have_attribute("aria-pressed", "false")


async def test_the_other_person_is_spoken_for(browser: Browser, tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, handoff_to=["+15550100010"]) as server,
        visit(browser, server, "/console/phone") as page,
    ):
        heard = page.locator("#heard")
        await page.get_by_label("You speak for them").check()
        await page.get_by_label("Words a second").fill("20")
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(heard).to_contain_text("How can I help you?")
        await page.get_by_label("What you say").fill("I want to speak to a person.")
        await page.keyboard.press("Enter")
        await expect(heard).to_contain_text("hear each other")
        await page.get_by_label("What you say").fill("Hello, this is Kim.")
        await page.get_by_role("button", name="Say as the person").click()
        await expect(heard.locator(".person")).to_contain_text("Hello, this is Kim.")
        await page.get_by_role("button", name="The person hangs up").click()
        await expect(heard).to_contain_text("The call is over")


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://elsewhere.example"}, 403), ({"Host": "rebound.example"}, 403)],
)
async def test_no_page_of_anybody_else_phones(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async with sandbox(tmp_path) as server:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await server.http.ws_connect(f"{server.base_url}/console/phone/call", headers=headers)
        assert refused.value.status == status


async def test_what_means_nothing_is_told(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path) as server,
        server.http.ws_connect(f"{server.base_url}/console/phone/call") as socket,
    ):
        for text in ("{", '{"do": "sing"}', '{"do": "press", "keys": "x"}'):
            await socket.send_str(text)
            assert (await socket.receive_json(timeout=10))["kind"] == "refused"


async def test_outside_the_sandbox_there_is_no_phone(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, **REAL, users=users_file(tmp_path)) as server,
        server.http.get(f"{server.base_url}/console/phone") as response,
    ):
        assert response.status == 404
