"""What Orchestrator and Intelligence tell, of a running server."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.sandbox import Sandbox, database, happened, recorded, sandbox
from voice_app.journal import Journal, events
from voice_app.webhooks.events import MAX_RESULTS

EVENTS, RESULTS = "/orchestrator/events", "/intelligence/results"
CALL = "CA" + "7" * 32
CONVERSATION = "conv_conversation_" + "0" * 26
PARTICIPANT = "conv_participant_" + "0" * 26
THEN = "2026-01-01T00:00:00.123Z"


async def tell(
    server: Sandbox, path: str, body: Any, *, token: str | None = None, raw: bytes | None = None
) -> aiohttp.ClientResponse:
    """Send signed JSON, as Twilio does."""
    content = raw if raw is not None else json.dumps(body).encode()
    url, signature = server.network.sign_json(server.settings.origin + path, content)
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": signature}
    if token is not None:
        headers["I-Twilio-Idempotency-Token"] = token
    async with server.http.post(server.network.reachable(url), data=content, headers=headers) as answer:
        await answer.read()
    return answer


def event(event_type: str, *, timestamp: str = THEN, **data: Any) -> dict[str, Any]:
    return {"eventType": event_type, "timestamp": timestamp, "data": data}


def added(**data: Any) -> dict[str, Any]:
    """A participant on the call."""
    address = {"channel": "VOICE", "address": "+15550100002", "channelId": CALL}
    fields = {"id": PARTICIPANT, "conversationId": CONVERSATION, "type": "CUSTOMER", "addresses": [address]}
    return event("PARTICIPANT_ADDED", **(fields | data))


def said(text: str = "my secret", **data: Any) -> dict[str, Any]:
    """A fragment of speech on the call."""
    fields = {
        "id": "conv_communication_" + "1" * 26,
        "conversationId": CONVERSATION,
        "author": {"address": "+15550100002", "channel": "VOICE", "participantId": PARTICIPANT},
        "content": {"type": "TRANSCRIPTION", "text": text, "transcription": {"engine": "deepgram:nova-3"}},
        "channelId": CALL,
        "resourceId": "GT1-1",
    }
    return event("COMMUNICATION_CREATED", **(fields | data))


def changed(status: str = "CLOSED", **data: Any) -> dict[str, Any]:
    """A conversation in another status; it names no call."""
    return event("CONVERSATION_UPDATED", id=CONVERSATION, status=status, **data)


def results(*items: Any, **fields: Any) -> dict[str, Any]:
    return {"conversationId": CONVERSATION, "operatorResults": list(items)} | fields


def result(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"intelligence_operatorresult_{number}",
        "operator": {"id": "intelligence_operator_1", "version": 1},
        "outputFormat": "CLASSIFICATION",
        "result": {"label": "positive"},
        "dateCreated": THEN,
        "executionDetails": {"trigger": {"on": "CONVERSATION_END", "timestamp": THEN}},
    } | fields


async def kept(folder: Path, subject: str = CALL) -> list[Any]:
    """What the journal has under an id, after the server has stopped."""
    return [entry.event for entry in await recorded(folder, subject)]


class TestTheDoor:
    @pytest.mark.parametrize("path", [EVENTS, RESULTS])
    async def test_unsigned_json_is_forbidden_and_logged_in_one_line(
        self, tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with sandbox(tmp_path) as server:
            with caplog.at_level(logging.WARNING):
                async with server.http.post(server.base_url + path, json=added()) as response:
                    assert response.status == 403
        (record,) = caplog.records
        assert record.getMessage().startswith(f"refused POST {path}: ")
        assert record.exc_info is None

    async def test_a_body_that_was_changed_is_forbidden(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            content = json.dumps(added()).encode()
            url, signature = server.network.sign_json(server.settings.origin + EVENTS, content)
            async with server.http.post(
                server.network.reachable(url),
                data=content.replace(b"CUSTOMER", b"AI_AGENT"),
                headers={"Content-Type": "application/json", "X-Twilio-Signature": signature},
            ) as response:
                assert response.status == 403
        assert await kept(tmp_path) == []

    async def test_a_signature_over_the_url_alone_is_forbidden(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            signature = server.network.sign(server.settings.origin + EVENTS)
            headers = {"X-Twilio-Signature": signature}
            async with server.http.post(server.base_url + EVENTS, json=added(), headers=headers) as response:
                assert response.status == 403

    @pytest.mark.parametrize("path", [EVENTS, RESULTS])
    async def test_what_is_no_event_is_a_bad_request(self, tmp_path: Path, path: str) -> None:
        nothing = [b"", b"{", b"[]", b'"text"', b"null", b"{}", b"[" * 100_000, b'{"eventType":7}', b"\xff"]
        async with sandbox(tmp_path) as server:
            answers = [(await tell(server, path, None, raw=raw)).status for raw in nothing]
        assert answers == [400] * len(nothing)

    @pytest.mark.parametrize("path", [EVENTS, RESULTS])
    async def test_too_much_is_refused(self, tmp_path: Path, path: str) -> None:
        async with sandbox(tmp_path) as server:
            assert (await tell(server, path, {"x": "y" * 300_000})).status == 413

    async def test_another_account_is_forbidden_though_its_signature_is_good(self, tmp_path: Path) -> None:
        other = "AC" + "9" * 32
        async with sandbox(tmp_path) as server:
            assert (await tell(server, EVENTS, added(accountId=other))).status == 403
            assert (await tell(server, RESULTS, results(result(), accountId=other))).status == 403
            ours = added(accountId=server.settings.account_sid)
            assert (await tell(server, EVENTS, ours)).status == 200

    async def test_only_post_is_an_answer(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            assert (await server.http.get(server.base_url + EVENTS)).status == 405


class TestEvents:
    async def test_an_event_that_names_the_call_goes_to_its_journal(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            assert (await tell(server, EVENTS, added(profileId="mem_profile_1"))).status == 200
            assert (await tell(server, EVENTS, said())).status == 200
        assert await kept(tmp_path) == [
            events.Notified("PARTICIPANT_ADDED", PARTICIPANT, THEN, "type CUSTOMER, profileId mem_profile_1"),
            events.Notified(
                "COMMUNICATION_CREATED",
                "conv_communication_" + "1" * 26,
                THEN,
                f"channel VOICE, participantId {PARTICIPANT}, engine deepgram:nova-3, resourceId GT1-1",
            ),
        ]

    async def test_what_was_said_is_in_no_log_and_not_in_the_event(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            async with sandbox(tmp_path) as server:
                await tell(server, EVENTS, said("my secret"))
        assert "my secret" not in caplog.text
        assert "my secret" not in str(await kept(tmp_path))

    async def test_an_event_that_names_no_call_finds_it_by_the_conversation(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            await tell(server, EVENTS, added())
            await happened(tmp_path, CALL, events.Notified)
            await tell(server, EVENTS, changed())
        assert [item.detail for item in await kept(tmp_path)] == ["type CUSTOMER", "status CLOSED"]

    async def test_the_conversation_of_a_call_is_known_after_a_restart_too(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            await tell(server, EVENTS, added())
        async with sandbox(tmp_path) as server:
            await tell(server, EVENTS, changed())
        assert (await kept(tmp_path))[-1].event_type == "CONVERSATION_UPDATED"

    async def test_before_its_call_is_known_an_event_stands_under_the_conversation(
        self, tmp_path: Path
    ) -> None:
        async with sandbox(tmp_path) as server:
            await tell(server, EVENTS, changed("ACTIVE"))
            await happened(tmp_path, CONVERSATION, events.Notified)
            await tell(server, EVENTS, added())
        under = await kept(tmp_path, CONVERSATION)
        assert [type(item) for item in under] == [events.Notified, events.Called]
        assert len(await kept(tmp_path)) == 1

    async def test_a_conversation_is_no_call_in_the_list_of_calls(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            await tell(server, EVENTS, changed())
            await tell(server, EVENTS, added())
        async with Journal(database(tmp_path)) as journal:
            assert [record.call_sid async for record in journal.select()] == [CALL]

    async def test_a_type_that_nobody_knows_is_kept_as_it_came(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            unknown = event("CONVERSATION_TELEPORTED", id="x", channelId=CALL, to={"planet": "Mars"})
            assert (await tell(server, EVENTS, unknown)).status == 200
            nowhere = event("SOMETHING_ELSE", size=[1, 2])
            assert (await tell(server, EVENTS, nowhere)).status == 200
            account_sid = server.settings.account_sid or ""
        (found,) = await kept(tmp_path)
        assert json.loads(found.detail)["to"] == {"planet": "Mars"}
        (found,) = await kept(tmp_path, account_sid)
        assert (found.event_type, json.loads(found.detail)) == ("SOMETHING_ELSE", {"size": [1, 2]})

    @pytest.mark.parametrize("event_type", ["COMMUNICATION_CREATED", "PARTICIPANT_ADDED", "NEW"])
    async def test_data_of_any_shape_does_no_harm(
        self, tmp_path: Path, event_type: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        shapes: list[Any] = [
            None,
            [],
            "text",
            {"id": 7, "conversationId": {"no": "id"}, "addresses": "none", "author": 1, "content": []},
            {"conversationId": "../../etc", "channelId": "CAnot", "addresses": [None, 1, {"channelId": 2}]},
            {"content": {"transcription": "x"}, "author": None, "status": 3},
        ]
        async with sandbox(tmp_path) as server:
            for number, data in enumerate(shapes):
                body = {"eventType": event_type, "timestamp": 3, "data": data}
                assert (await tell(server, EVENTS, body, token=str(number))).status == 200
            account_sid = server.settings.account_sid or ""
        assert [record for record in caplog.records if record.exc_info] == []
        assert len(await kept(tmp_path, account_sid)) == len(shapes)

    async def test_any_order_and_any_repetition_leave_the_same_facts(self, tmp_path: Path) -> None:
        told = [
            (str(number), body)
            for number, body in enumerate(
                [added(), said("one"), said("two", id="c2"), changed(), changed("INACTIVE")]
            )
        ]
        shuffled = told * 3
        random.Random(4).shuffle(shuffled)
        async with sandbox(tmp_path) as server:
            for token, body in shuffled:
                assert (await tell(server, EVENTS, body, token=token)).status == 200
        found = [*await kept(tmp_path), *await kept(tmp_path, CONVERSATION)]
        facts = [item.event_type for item in found if isinstance(item, events.Notified)]
        assert sorted(facts) == sorted(body["eventType"] for _, body in told)


class TestRepetitions:
    async def test_the_same_token_is_the_same_event(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            for _ in range(3):
                assert (await tell(server, EVENTS, added(), token="a")).status == 200
            await tell(server, EVENTS, added(), token="b")
        assert len(await kept(tmp_path)) == 2

    async def test_without_a_token_type_resource_and_time_tell(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            for status in ("ACTIVE", "ACTIVE", "CLOSED"):
                await tell(server, EVENTS, changed(status, channelId=CALL, updatedAt=f"{status}:{THEN}"))
        assert [item.detail for item in await kept(tmp_path)] == ["status ACTIVE", "status CLOSED"]

    async def test_after_a_restart_the_server_still_knows_what_it_was_told(self, tmp_path: Path) -> None:
        for _ in range(2):
            async with sandbox(tmp_path) as server:
                await tell(server, EVENTS, added(), token="a")
                await tell(server, RESULTS, results(result(1)), token="b")
        assert len(await kept(tmp_path)) == 2

    async def test_what_two_servers_are_told_is_kept_once(self, tmp_path: Path, postgres_url: str) -> None:
        odd = {"operator": "not an object"}
        async with (
            sandbox(tmp_path, database_url=postgres_url) as one,
            sandbox(tmp_path, database_url=postgres_url) as other,
        ):
            for server in (one, other):
                await tell(server, EVENTS, added(), token="a")
                await tell(server, RESULTS, results(result(1), odd, odd), token="b")
        async with Journal(postgres_url) as journal:
            found = [entry.event for entry in await journal.events(CALL)]
            found += [entry.event for entry in await journal.events(CONVERSATION)]
        assert sum(isinstance(item, events.Notified) for item in found) == 3
        assert sum(isinstance(item, events.Analysed) for item in found) == 1

    async def test_a_token_counts_for_its_own_route(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            await tell(server, EVENTS, added(), token="a")
            await tell(server, RESULTS, results(result()), token="a")
        assert len(await kept(tmp_path)) == 2


class TestResults:
    async def test_they_go_to_the_journal_of_the_call(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            await tell(server, EVENTS, added())
            await happened(tmp_path, CALL, events.Notified)
            text = result(2, result={"text": "Wants a refund."}, outputFormat="TEXT")
            assert (await tell(server, RESULTS, results(result(), text))).status == 200
        assert (await kept(tmp_path))[1:] == [
            events.Analysed(
                "intelligence_operator_1",
                label,
                f"intelligence_operatorresult_{number}",
                "CONVERSATION_END",
                THEN,
            )
            for number, label in ((1, "positive"), (2, "Wants a refund."))
        ]

    async def test_a_result_is_written_once_though_it_comes_with_others(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            await tell(server, RESULTS, results(result(1)), token="a")
            await tell(server, RESULTS, results(result(1), result(2)), token="b")
        assert [item.result_id[-1] for item in await kept(tmp_path, CONVERSATION)] == ["1", "2"]

    async def test_a_result_that_cannot_be_read_is_kept_as_it_came(self, tmp_path: Path) -> None:
        async with sandbox(tmp_path) as server:
            odd = {"id": "r1", "operator": "not an object"}
            assert (await tell(server, RESULTS, results(odd, "no object", None))).status == 200
        (found,) = await kept(tmp_path, CONVERSATION)
        assert isinstance(found, events.Notified)
        assert json.loads(found.detail) == odd


async def test_of_any_number_of_results_a_hundred_are_kept(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        body = results(*map(result, range(800)))
        assert (await tell(server, RESULTS, body)).status == 200
        assert (await tell(server, RESULTS, results(*({} for _ in range(200_000))))).status == 413
        await happened(tmp_path, CONVERSATION, events.Analysed, times=MAX_RESULTS)
    assert len(await recorded(tmp_path, CONVERSATION)) == MAX_RESULTS


@pytest.mark.parametrize("opening", ["[", '{"a":'])
async def test_json_of_any_depth_is_refused(tmp_path: Path, opening: str) -> None:
    async with sandbox(tmp_path) as server:
        assert (await tell(server, RESULTS, None, raw=opening.encode() * 40_000)).status == 400
