"""Who may use console and API."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from support.sandbox import REAL, sandbox
from support.visitors import PASSWORD, ROLES, browser, key_of, sign_in, users_file
from voice_app.console import health
from voice_app.console.access import CSRF_HEADER, Access
from voice_app.console.sign_in import PER_NAME
from voice_app.console.visitors import COOKIE, AccessRefusedError, Visitor, masked
from voice_app.settings import Role, Settings, SettingsError, read_users
from voice_app.telemetry import metrics

END = f"/api/calls/CA{'1' * 32}/end"
TOKEN = "a token that is long enough"


def access(folder: Path, **changes: Any) -> Access:
    if "users" not in changes:
        changes["users"] = users_file(folder)
    return Access(Settings.model_construct(**REAL | changes))


def request(
    method: str = "GET",
    path: str = "/console/",
    *,
    peer: str = "127.0.0.1",
    body: str = "",
    **headers: str,
) -> Request:
    named = {"host": "voice.example.com"} | {
        name.replace("_", "-").lower(): value for name, value in headers.items()
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "scheme": "https",
        "server": ("voice.example.com", 443),
        "client": (peer, 1),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "state": {},
    }
    return Request(scope, receive)


def signed_in(gate: Access, name: str) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={gate.visitors.cookie_for(name)}"}


async def refusal(gate: Access, role: Role, asked: Request) -> tuple[int, str]:
    with pytest.raises(AccessRefusedError) as caught:
        await gate.admit(asked, role)
    return caught.value.status, str(caught.value)


# --- roles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("has", ROLES)
@pytest.mark.parametrize("needs", ROLES)
async def test_a_role_may_what_those_below_it_may(tmp_path: Path, has: str, needs: str) -> None:
    gate = access(tmp_path)
    for asked in (
        request(authorization=f"Bearer {key_of(has)}"),
        request(**signed_in(gate, has)),
    ):
        if ROLES.index(has) >= ROLES.index(needs):
            assert (await gate.admit(asked, Role(needs))).role == has
        else:
            assert (await refusal(gate, Role(needs), asked))[0] == 403


async def test_nobody_enters_where_nobody_is_named(tmp_path: Path) -> None:
    status, told = await refusal(access(tmp_path, users=None), Role.WATCH, request())
    assert status == 401
    assert "VOICE_APP_USERS" in told


async def test_the_token_of_the_settings_is_an_admin(tmp_path: Path) -> None:
    gate = access(tmp_path, api_token=SecretStr(TOKEN), users=None)
    visitor = await gate.admit(request("POST", authorization=f"Bearer {TOKEN}"), Role.ADMIN)
    assert visitor.name == "api token"


@pytest.mark.parametrize(
    "given_",
    ["", "Bearer", "Bearer va_nobody", f"Basic {key_of('admin')}", "Bearer va_ädmin", key_of("admin")],
)
async def test_a_wrong_key_opens_nothing_even_with_a_good_cookie(tmp_path: Path, given_: str) -> None:
    gate = access(tmp_path)
    asked = request(authorization=given_, **signed_in(gate, "admin"))
    assert (await refusal(gate, Role.WATCH, asked))[0] == 401


async def test_a_key_is_good_on_its_last_day_and_no_longer(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    for expires, good in ((today, True), (today - timedelta(days=1), False)):
        gate = access(tmp_path, users=users_file(tmp_path, expires=expires))
        asked = request(authorization=f"Bearer {key_of('watch')}")
        if good:
            await gate.admit(asked, Role.WATCH)
        else:
            assert "has expired" in (await refusal(gate, Role.WATCH, asked))[1]


# --- the cookie -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil", [lambda value: value + "x", lambda value: value[1:], lambda value: "." + value, lambda value: ""]
)
async def test_a_cookie_that_was_changed_is_none(tmp_path: Path, spoil: Any) -> None:
    gate = access(tmp_path)
    asked = request(cookie=f"{COOKIE}={spoil(gate.visitors.cookie_for('admin'))}")
    assert (await refusal(gate, Role.WATCH, asked))[0] == 401


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=300))
def test_no_cookie_breaks_anything(value: str) -> None:
    gate = Access(Settings.model_construct(**REAL))
    asked = request()
    asked.scope["headers"].append((b"cookie", f"{COOKIE}={value}".encode("latin-1")))
    assert gate.visitors.of(asked) is None


async def test_a_cookie_is_of_the_account_and_of_the_password(tmp_path: Path) -> None:
    gate = access(tmp_path)
    cookie = signed_in(gate, "admin")
    other = access(tmp_path, auth_token=SecretStr("another"))
    rotated = access(tmp_path, auth_token=SecretStr("another"), auth_token_secondary=REAL["auth_token"])
    await rotated.admit(request(**cookie), Role.ADMIN)
    assert (await refusal(other, Role.WATCH, request(**cookie)))[0] == 401
    path = users_file(tmp_path)
    path.write_text(path.read_text().replace("$argon2id$", "$argon2id$v=9"))
    assert (await refusal(access(tmp_path, users=path), Role.WATCH, request(**cookie)))[0] == 401


async def test_a_cookie_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = access(tmp_path, sign_in_hours=1)
    cookie = signed_in(gate, "watch")
    await gate.admit(request(**cookie), Role.WATCH)
    later = datetime.now(UTC).timestamp() + 3602
    monkeypatch.setattr("itsdangerous.timed.time", SimpleNamespace(time=lambda: later))
    assert (await refusal(gate, Role.WATCH, request(**cookie)))[0] == 401


async def test_who_is_removed_from_the_file_is_out_and_a_broken_file_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice_app.console.visitors.RELOAD_SECONDS", 0)
    path = users_file(tmp_path)
    gate = access(tmp_path, users=path)
    cookie = signed_in(gate, "act")
    before = path.read_text()
    path.write_text("[")
    os.utime(path, ns=(1, 1))
    await gate.admit(request(**cookie), Role.ACT)
    path.write_text(before.replace("[users.act]", "[users.other]"))
    os.utime(path, ns=(2, 2))
    assert (await refusal(gate, Role.ACT, request(**cookie)))[0] == 401


# --- what changes something -----------------------------------------------------------------------


async def test_a_write_with_a_cookie_needs_its_token(tmp_path: Path) -> None:
    gate = access(tmp_path)
    cookie = signed_in(gate, "act")
    token = (await gate.admit(request(**cookie), Role.ACT)).csrf
    form = {"content_type": "application/x-www-form-urlencoded"}
    for asked in (
        request("POST", **{**cookie, CSRF_HEADER: token}),
        request("POST", body=f"csrf={token}", **cookie, **form),
    ):
        await gate.admit(asked, Role.ACT)
    others = (await gate.admit(request(**signed_in(gate, "act")), Role.ACT)).csrf
    for asked in (
        request("POST", **cookie),
        request("POST", **{**cookie, CSRF_HEADER: others}),
        request("POST", body="csrf=x", **cookie, **form),
        request("POST", body=f"csrf={token}", **cookie, content_type="text/plain"),
        request("POST", body="x" * 70_000, **cookie, **form),
    ):
        status, told = await refusal(gate, Role.ACT, asked)
        assert (status, "CSRF" in told) == (403, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
async def test_a_page_of_another_site_writes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    gate = access(tmp_path)
    cookie = signed_in(gate, "act")
    token = (await gate.admit(request(**cookie), Role.ACT)).csrf
    asked = request("POST", **{**cookie, **headers, CSRF_HEADER: token})
    assert (await refusal(gate, Role.ACT, asked))[0] == 403


# --- a proxy --------------------------------------------------------------------------------------

PROXY: dict[str, Any] = {"proxy_user_header": "X-Forwarded-User", "proxy_addresses": ("10.0.0.0/24", "::1")}


@pytest.mark.parametrize(
    ("peer", "name", "told"),
    [("10.0.0.7", "act", "act"), ("::1", "act", "act"), ("10.0.1.7", "act", 401), ("10.0.0.7", "eve", 403)],
)
async def test_a_proxy_tells_who_it_is_from_its_own_addresses_only(
    tmp_path: Path, peer: str, name: str, told: str | int
) -> None:
    gate = access(tmp_path, **PROXY)
    asked = request(peer=peer, x_forwarded_user=name)
    if isinstance(told, str):
        visitor = await gate.admit(asked, Role.ACT)
        assert (visitor.name, bool(visitor.csrf)) == (told, True)
        assert (await refusal(gate, Role.ACT, request("POST", peer=peer, x_forwarded_user=name)))[0] == 403
    else:
        assert (await refusal(gate, Role.WATCH, asked))[0] == told


# --- the sandbox ----------------------------------------------------------------------------------


async def test_in_the_sandbox_it_is_open_to_this_machine(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        assert (await server.http.post(server.base_url + END)).status == 404
        rebound = await server.http.post(server.base_url + END, headers={"Host": "evil.example"})
        foreign = await server.http.post(server.base_url + END, headers={"Origin": "https://evil.example"})
        page = await server.http.get(server.base_url + "/console/sign-in", allow_redirects=False)
    assert (rebound.status, foreign.status, page.status) == (403, 403, 303)


async def test_in_the_sandbox_users_close_it(tmp_path: Path) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server:
        assert (await server.http.post(server.base_url + END)).status == 401


# --- signing in -----------------------------------------------------------------------------------


async def test_somebody_signs_in_and_out(tmp_path: Path) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server, browser(server) as http:
        page = await http.get("/console/sign-in?next=/console/calls")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert 'value="/console/calls"' in await page.text()
        response = await sign_in(http, "act", next="/console/calls")
        assert response.headers["Location"] == "/console/calls"
        cookie = response.cookies[COOKIE]
        assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "lax", "")
        assert (await http.post(END)).status == 403
        gate = Access(server.settings)
        token = Visitor("", Role.ACT, gate.visitors._csrf(cookie.value)).csrf
        assert (await http.post(END, headers={CSRF_HEADER: token})).status == 404
        out = await http.post("/console/sign-out", headers={CSRF_HEADER: token}, allow_redirects=False)
        assert out.headers["Location"] == "/console/sign-in"
        assert (await http.post(END, headers={CSRF_HEADER: token})).status == 401


async def test_off_this_machine_the_cookie_goes_over_https_only(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, users=users_file(tmp_path)) as server,
        browser(server, Host="voice.example.com") as http,
    ):
        assert (await sign_in(http, "act")).cookies[COOKIE]["secure"] is True


@pytest.mark.parametrize(
    ("name", "password"), [("act", "wrong"), ("nobody", PASSWORD), ("", ""), ("act", "x" * 5000)]
)
async def test_a_wrong_password_is_refused_without_saying_what_is_wrong(
    tmp_path: Path, name: str, password: str
) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server, browser(server) as http:
        response = await sign_in(http, name, password)
        assert response.status == 401
        assert COOKIE not in response.cookies
        assert "The name or the password is wrong." in await response.text()


async def test_tries_are_limited_for_each_name(tmp_path: Path) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server, browser(server) as http:
        tries = [(await sign_in(http, "act", "wrong")).status for _ in range(PER_NAME)]
        assert tries == [401] * PER_NAME
        assert (await sign_in(http, "act")).status == 429
        assert (await sign_in(http, "watch")).status == 303


async def test_a_form_of_another_site_signs_nobody_in(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, users=users_file(tmp_path)) as server,
        browser(server, Origin="https://evil.example") as http,
    ):
        assert (await sign_in(http, "act")).status == 403


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/console//evil", "/console/\\evil", "/voice"]
)
async def test_a_sign_in_leads_to_the_console_only(tmp_path: Path, wanted: str) -> None:
    async with sandbox(tmp_path, users=users_file(tmp_path)) as server, browser(server) as http:
        assert (await sign_in(http, "act", next=wanted)).headers["Location"] == "/console/"


async def test_a_page_sends_who_is_not_known_to_the_sign_in(tmp_path: Path) -> None:
    async def shown(request: Request, visitor: Visitor) -> Response:
        return PlainTextResponse(visitor.name)

    gate = access(tmp_path)
    page = gate.page(Role.ACT, shown)
    sent = await page(request(path="/console/calls"))
    assert (sent.status_code, sent.headers["Location"]) == (303, "/console/sign-in?next=/console/calls")
    assert (await page(request(**signed_in(gate, "watch")))).status_code == 403
    assert (await page(request(**signed_in(gate, "act")))).body == b"act"


# --- what is seen, and the file -------------------------------------------------------------------


def test_numbers_and_addresses_are_masked_for_those_who_watch() -> None:
    text = '{"from":"+15550199999","to":"client:anna","via":"sip:b@example.com","x":"whatsapp:+15550100001"}'
    shown = '{"from":"+1•••99","to":"client:•••","via":"sip:•••@example.com","x":"whatsapp:+1•••01"}'
    assert masked(text) == shown
    assert Visitor("anna", Role.WATCH).shown("+15550199999") == "+1•••99"
    assert Visitor("anna", Role.ACT).shown("+15550199999") == "+15550199999"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "not TOML"),
        ('[users.anna]\nrole = "act"\n', "password"),
        ('[users.anna]\npassword = "secret words"\nrole = "act"\n', "$argon2id$"),
        ('[users."an na"]\npassword = "$argon2id$x"\nrole = "act"\n', "anna@example.com"),
        ('[keys.wall]\nsha256 = "00"\nrole = "boss"\nexpires = 2027-01-31\n', "'watch', 'act' or 'admin'"),
        ("[people.anna]\n", "people is no key here"),
    ],
)
def test_a_file_of_users_that_cannot_be_used_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "users.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_users(path)
    problems = " ".join(caught.value.problems)
    assert "users.toml" in problems
    assert told in problems
    assert "secret words" not in problems


def test_a_date_is_an_expiry(tmp_path: Path) -> None:
    assert read_users(users_file(tmp_path, expires=date(2027, 1, 31))).keys["act"].expires == date(
        2027, 1, 31
    )


# --- metrics --------------------------------------------------------------------------------------


async def exposed(gate: Access, asked: Request) -> int:
    async def told(_: Request, __: Visitor) -> Response:
        return PlainTextResponse("up 1")

    return (await gate.near(Role.WATCH, told)(asked)).status_code


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "10.1.2.3", "172.17.0.1", "192.168.4.5", "fd00::7"])
async def test_our_own_network_reads_metrics_without_a_token(tmp_path: Path, peer: str) -> None:
    gate = access(tmp_path, users=None)
    assert await exposed(gate, request(path="/metrics", peer=peer)) == 200
    for name in ("X_Forwarded_For", "Forwarded", "Via", "X_Real_IP", "X_Forwarded_Host"):
        through = request(path="/metrics", peer=peer, **{name: "1"})
        assert await exposed(gate, through) == 401, name


async def test_others_read_metrics_with_a_token(tmp_path: Path) -> None:
    gate = access(tmp_path)
    asked: dict[str, Any] = {"path": "/metrics", "peer": "93.184.215.14"}
    assert await exposed(gate, request(**asked)) == 401
    assert await exposed(gate, request(**asked, authorization="Bearer va_nobody")) == 401
    assert await exposed(gate, request(**asked, authorization=f"Bearer {key_of('watch')}")) == 200


async def test_metrics_are_written_once_a_second_however_many_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[None] = []
    exposition = metrics.METRICS.exposition

    def counting() -> bytes:
        written.append(None)
        return exposition()

    monkeypatch.setattr(metrics.METRICS, "exposition", counting)
    monkeypatch.setattr(health, "EXPOSITION_SECONDS", 3600.0)
    async with sandbox(tmp_path) as server:
        texts = set()
        for _ in range(20):
            async with server.http.get(f"{server.base_url}/metrics") as response:
                texts.add(await response.text())
    assert (len(texts), len(written)) == (1, 1)
