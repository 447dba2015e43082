"""The double, driven by the official SDK and by hand, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio.rest.conversations.v2.action import ActionList
from twilio.rest.conversations.v2.communication import CommunicationList
from twilio.rest.conversations.v2.configuration import ConfigurationList
from twilio.rest.conversations.v2.conversation import ConversationList
from twilio.rest.conversations.v2.participant import ParticipantList

from support.official import Redirected
from voice_app.sandbox.twilio import (
    Behaviour,
    CallStart,
    Fault,
    LocalTranscriber,
    RemoteTranscriber,
    SandboxAccount,
    Transcriber,
    double_app,
    new_id,
)
from voice_app.sandbox.twilio.app import serve
from voice_app.sandbox.twilio.conversation_store import settle
from voice_app.sandbox.twilio.transcriber import fragments, rule_matches

T = TypeVar("T")

TOKEN = "token-of-the-test"
CALL = "CA" + "1" * 32
CALLER, NUMBER = "+15550100002", "+15550100001"
CONFIGURATIONS = "/conversations/v2/ControlPlane/Configurations"
CONVERSATIONS = "/conversations/v2/Conversations"
PEOPLE: list[dict[str, Any]] = [
    {"type": "CUSTOMER", "addresses": [{"channel": "VOICE", "address": CALLER}]},
    {"type": "AI_AGENT", "addresses": [{"channel": "VOICE", "address": NUMBER}]},
]


class Rest:
    """Plain requests, so that nothing is hidden by a client."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, account: SandboxAccount) -> None:
        self.base_url = base_url
        self._session = session
        self._headers = {"Authorization": aiohttp.encode_basic_auth(account.sid, TOKEN)}

    async def __call__(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(
            method, self.base_url + path, json=body, headers=self._headers | named
        ) as response:
            return response.status, await response.json(), response.headers

    async def created(self, **fields: Any) -> str:
        """A configuration that is there."""
        status, accepted, _ = await self("POST", CONFIGURATIONS, body_of(**fields))
        assert status == 202, accepted
        operation = await self.finished(accepted)
        assert operation["status"] == "COMPLETED"
        configuration_id: str = operation["related"]["configurationId"]
        return configuration_id

    async def finished(self, accepted: dict[str, Any]) -> dict[str, Any]:
        path = accepted["statusUrl"].removeprefix(self.base_url)
        for _ in range(10):
            _, operation, _ = await self("GET", path)
            if operation["status"] in ("COMPLETED", "FAILED"):
                return dict(operation)
        raise AssertionError("the operation is never over")


def body_of(**fields: Any) -> dict[str, Any]:
    return {
        "displayName": "acme-voice",
        "description": "",
        "conversationGroupingType": "GROUP_BY_PARTICIPANT_ADDRESSES",
        "memoryStoreId": "mem_store_" + "0" * 26,
        "channelSettings": {"VOICE": {"statusTimeouts": None}},
    } | fields


def rule(from_: str = "*", to: str = NUMBER, **metadata: str) -> dict[str, Any]:
    return {"from": from_, "to": to, "metadata": metadata}


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(token=TOKEN, behaviour=Behaviour(operation_seconds=float("inf")))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def rest(session: aiohttp.ClientSession, base_url: str, account: SandboxAccount) -> Rest:
    return Rest(session, base_url, account)


@pytest.fixture(params=["local", "remote"])
def transcriber(
    request: pytest.FixtureRequest, account: SandboxAccount, session: aiohttp.ClientSession, base_url: str
) -> Transcriber:
    """The phone in the same process, and in another one."""
    if request.param == "local":
        return LocalTranscriber(account)
    return RemoteTranscriber(session, base_url)


class TestTheOfficialSdk:
    """Twilio's own typed resources work against the double as they are."""

    @pytest.fixture
    def sdk(self, base_url: str, account: SandboxAccount) -> Callable[[Callable[[Any], T]], Any]:
        client = Client(account.sid, TOKEN, http_client=Redirected(base_url))

        async def run(use: Callable[[Any], T]) -> T:
            return await asyncio.to_thread(use, client.conversations.v2)

        return run

    async def test_a_configuration_lives_its_whole_life(self, sdk: Any, account: SandboxAccount) -> None:
        request = ConfigurationList.CreateConfigurationRequest(
            body_of(channelSettings={"VOICE": {"captureRules": [rule()]}})
        )
        accepted = await sdk(lambda v2: v2.configurations.create(create_configuration_request=request))
        operation_id = accepted.status_url.rpartition("/")[2]
        pending = await sdk(lambda v2: v2.operations(operation_id).fetch())
        done = await sdk(lambda v2: v2.operations(operation_id).fetch())
        assert (pending.status, done.status) == ("PENDING", "COMPLETED")
        configuration_id = done.related["configurationId"]

        found = await sdk(lambda v2: v2.configurations(configuration_id).fetch())
        assert (found.display_name, found.version) == ("acme-voice", 1)
        assert found.channel_settings["VOICE"]["captureRules"][0]["to"] == NUMBER
        assert [item.id for item in await sdk(lambda v2: v2.configurations.list())] == [configuration_id]

        patch = ConfigurationList.PatchConfigurationRequest(
            {"channelSettings": {"VOICE": {"captureRules": []}}}
        )
        await sdk(lambda v2: v2.configurations(configuration_id).patch(patch_configuration_request=patch))
        account.complete(list(account.operations.values())[-1])
        patched = await sdk(lambda v2: v2.configurations(configuration_id).fetch())
        assert patched.channel_settings == {"VOICE": {"captureRules": []}}
        assert (patched.version, patched.display_name) == (2, "acme-voice")

        put = ConfigurationList.UpdateConfigurationRequest(body_of(description="Another"))
        await sdk(lambda v2: v2.configurations(configuration_id).update(update_configuration_request=put))
        account.complete(list(account.operations.values())[-1])
        replaced = await sdk(lambda v2: v2.configurations(configuration_id).fetch())
        assert (replaced.version, replaced.description) == (3, "Another")

        await sdk(lambda v2: v2.configurations(configuration_id).delete())
        account.complete(list(account.operations.values())[-1])
        with pytest.raises(TwilioRestException) as caught:
            await sdk(lambda v2: v2.configurations(configuration_id).fetch())
        assert (caught.value.status, caught.value.code) == (404, 20404)

    async def test_lists_are_read_page_by_page(self, sdk: Any, account: SandboxAccount) -> None:
        ids = [account.add_configuration() for _ in range(5)]
        found = await sdk(lambda v2: v2.configurations.list(page_size=2))
        assert [item.id for item in found] == ids
        assert len(account.requests) == 3

    async def test_a_conversation_lives_its_whole_life(self, sdk: Any, account: SandboxAccount) -> None:
        configuration_id = account.add_configuration()
        request = ConversationList.CreateConversationWithConfigRequest(
            {"configurationId": configuration_id, "participants": PEOPLE, "metadata": {"order": "81"}}
        )
        created = await sdk(
            lambda v2: v2.conversations.create(create_conversation_with_config_request=request)
        )
        assert created.status == "ACTIVE"

        listed = await sdk(lambda v2: v2.conversations.list(status=["ACTIVE"]))
        assert [item.id for item in listed] == [created.id]
        assert await sdk(lambda v2: v2.conversations.list(channel_id=CALL)) == []

        participant = ParticipantList.CreateParticipantInConversationRequest(
            {"type": "HUMAN_AGENT", "addresses": [{"channel": "VOICE", "address": "client:anna"}]}
        )
        await sdk(
            lambda v2: v2.participants(created.id).create(
                create_participant_in_conversation_request=participant
            )
        )
        people = await sdk(lambda v2: v2.participants(created.id).list())
        assert [item.type for item in people] == ["CUSTOMER", "AI_AGENT", "HUMAN_AGENT"]

        note = CommunicationList.CreateCommunicationInConversationRequest(
            {
                "author": {"address": CALLER, "channel": "VOICE"},
                "recipients": [{"address": NUMBER, "channel": "VOICE"}],
                "content": {"type": "TRANSCRIPTION", "text": "Hello?", "transcription": {"channel": 0}},
                "channelId": CALL,
            }
        )
        await sdk(
            lambda v2: v2.communications(created.id).create(create_communication_in_conversation_request=note)
        )
        said = await sdk(lambda v2: v2.communications(created.id).list(channel_id=CALL))
        assert [item.content["text"] for item in said] == ["Hello?"]
        assert [item.id for item in await sdk(lambda v2: v2.conversations.list(channel_id=CALL))] == [
            created.id
        ]

        send = ActionList.CreateConversationActionRequest(
            {
                "type": "SEND_MESSAGE",
                "payload": {
                    "from": {"address": NUMBER, "channel": "SMS"},
                    "to": [{"address": CALLER, "channel": "SMS"}],
                    "content": {"text": "Bye"},
                },
            }
        )
        action = await sdk(lambda v2: v2.actions(created.id).create(create_conversation_action_request=send))
        assert action.status == "PENDING"

        close = ConversationList.PatchConversationByIdRequest({"status": "CLOSED"})
        closed = await sdk(
            lambda v2: v2.conversations(created.id).patch(patch_conversation_by_id_request=close)
        )
        assert closed.status == "CLOSED"
        await sdk(lambda v2: v2.conversations(created.id).delete())
        account.complete(list(account.operations.values())[-1])
        assert account.conversations == {}

    @pytest.mark.parametrize("shape", ["A", "B"])
    async def test_errors_of_both_shapes_are_understood(
        self, sdk: Any, account: SandboxAccount, shape: Any
    ) -> None:
        account.behaviour.error_shape = shape
        with pytest.raises(TwilioRestException) as caught:
            await sdk(lambda v2: v2.conversations(new_id("conv_conversation_")).fetch())
        assert (caught.value.status, caught.value.code) == (404, 20404)
        assert "was not found" in caught.value.msg

    async def test_the_page_size_is_taken_as_the_sdk_spells_it(
        self, sdk: Any, account: SandboxAccount
    ) -> None:
        await sdk(lambda v2: v2.configurations.list_with_http_info(page_size=5))
        assert len(account.requests) == 1


class TestTheDoor:
    """Who may come in, and with what."""

    @pytest.mark.parametrize(
        "authorization",
        [
            "",
            "Basic",
            "Basic !",
            "Bearer x",
            "Basic QUM6",
            aiohttp.encode_basic_auth("AC" + "0" * 32, "wrong"),
        ],
    )
    async def test_without_credentials_there_is_no_answer(
        self, session: aiohttp.ClientSession, base_url: str, authorization: str
    ) -> None:
        headers = {"Authorization": authorization}
        async with session.get(base_url + CONVERSATIONS, headers=headers) as response:
            assert response.status == 401
            assert (await response.json())["code"] == 20003

    async def test_an_api_key_is_as_good_as_the_token(
        self, session: aiohttp.ClientSession, base_url: str, account: SandboxAccount
    ) -> None:
        account.credentials["SK1"] = "secret"
        headers = {"Authorization": aiohttp.encode_basic_auth("SK1", "secret")}
        async with session.get(base_url + CONVERSATIONS, headers=headers) as response:
            assert response.status == 200
        account.restricted.add("SK1")
        async with session.get(base_url + CONVERSATIONS, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (401, 70004)

    async def test_terms_that_are_not_accepted_look_like_bad_credentials(
        self, rest: Rest, account: SandboxAccount
    ) -> None:
        account.behaviour.terms_accepted = False
        status, error, _ = await rest("GET", CONVERSATIONS)
        assert (status, error["code"]) == (401, 20003)

    @pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
    async def test_only_json_is_taken(
        self, session: aiohttp.ClientSession, base_url: str, account: SandboxAccount, content_type: str
    ) -> None:
        headers = {
            "Authorization": aiohttp.encode_basic_auth(account.sid, TOKEN),
            "Content-Type": content_type,
        }
        async with session.post(base_url + CONFIGURATIONS, data=b"a=b", headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (415, 20422)

    async def test_broken_json_is_refused(
        self, session: aiohttp.ClientSession, base_url: str, account: SandboxAccount
    ) -> None:
        headers = {
            "Authorization": aiohttp.encode_basic_auth(account.sid, TOKEN),
            "Content-Type": "application/json",
        }
        async with session.post(base_url + CONFIGURATIONS, data=b"{", headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (400, 20001)

    @pytest.mark.parametrize("path", ["/conversations/v2/Elsewhere", "/conversations/v1/Configurations", "/"])
    async def test_other_paths_do_not_exist(self, rest: Rest, path: str) -> None:
        status, error, _ = await rest("GET", path)
        assert (status, error["code"]) == (404, 20404)

    async def test_other_methods_are_not_allowed(self, rest: Rest) -> None:
        status, error, _ = await rest("DELETE", CONVERSATIONS)
        assert (status, error["httpStatusCode"]) == (405, 405)

    @pytest.mark.parametrize(
        "query",
        [
            "STATUS=ACTIVE",
            "page_size=10",
            "Status=OPEN",
            "pageSize=0",
            "pageSize=1001",
            "pageToken=x",
        ],
    )
    async def test_what_a_query_cannot_mean_is_refused(self, rest: Rest, query: str) -> None:
        status, error, _ = await rest("GET", f"{CONVERSATIONS}?{query}")
        assert (status, error["code"]) == (400, 20001)

    async def test_every_request_is_noted(self, rest: Rest, account: SandboxAccount) -> None:
        await rest("GET", f"{CONVERSATIONS}?pageSize=5")
        await rest("GET", f"{CONVERSATIONS}/x")
        assert list(account.requests) == [
            ("GET", f"{CONVERSATIONS}?pageSize=5", 200),
            ("GET", f"{CONVERSATIONS}/x", 404),
        ]


class TestConfigurations:
    async def test_the_202_says_where_to_ask(self, rest: Rest, account: SandboxAccount) -> None:
        status, accepted, headers = await rest("POST", CONFIGURATIONS, body_of())
        assert status == 202
        assert headers["Location"] == accepted["statusUrl"]
        assert headers["Operation-Id"] in accepted["statusUrl"]
        assert headers["Retry-After"] == "1"
        assert account.configurations == {}
        operation = await rest.finished(accepted)
        assert list(account.configurations) == [operation["related"]["configurationId"]]

    async def test_an_operation_is_done_in_time_without_being_asked(self, account: SandboxAccount) -> None:
        now = 1_000.0
        patient = SandboxAccount(token=TOKEN, behaviour=Behaviour(operation_seconds=5), clock=lambda: now)
        patient.start_operation({}, lambda: patient.add_configuration())
        settle(patient)
        assert patient.configurations == {}
        now = 1_005.0
        settle(patient)
        assert len(patient.configurations) == 1

    async def test_a_put_deletes_what_it_leaves_out(self, rest: Rest, account: SandboxAccount) -> None:
        configuration_id = await rest.created(
            statusCallbacks=[{"url": "https://a.example/x"}], memoryExtractionEnabled=True
        )
        _, accepted, _ = await rest("PUT", f"{CONFIGURATIONS}/{configuration_id}", body_of())
        await rest.finished(accepted)
        after = account.configurations[configuration_id]
        assert "statusCallbacks" not in after
        assert after["memoryExtractionEnabled"] is False
        assert after["version"] == 2

    async def test_a_patch_merges(self, rest: Rest, account: SandboxAccount) -> None:
        sms = {"captureRules": [rule()], "statusTimeouts": {"inactive": 10, "closed": 60}}
        configuration_id = await rest.created(
            channelSettings={"SMS": sms, "VOICE": {"captureRules": [rule()]}, "CHAT": {}},
            statusCallbacks=[{"url": "https://a.example/x"}],
        )
        voice: dict[str, Any] = {"captureRules": []}
        patch = {"channelSettings": {"VOICE": voice, "CHAT": None}, "statusCallbacks": None}
        _, accepted, _ = await rest("PATCH", f"{CONFIGURATIONS}/{configuration_id}", patch)
        await rest.finished(accepted)
        after = account.configurations[configuration_id]
        assert after["channelSettings"] == {"SMS": sms, "VOICE": {"captureRules": []}}
        assert "statusCallbacks" not in after
        assert after["displayName"] == "acme-voice"

    async def test_patch_can_be_missing(self, rest: Rest, account: SandboxAccount) -> None:
        account.behaviour.patch = False
        configuration_id = account.add_configuration()
        status, _, headers = await rest("PATCH", f"{CONFIGURATIONS}/{configuration_id}", {})
        assert status == 405
        assert "PATCH" not in headers["Allow"]

    @pytest.mark.parametrize(
        ("fields", "place"),
        [
            ({"displayName": "x" * 33}, "displayName"),
            ({"displayName": "a/b"}, "displayName"),
            ({"displayName": None}, "displayName"),
            ({"description": "x" * 513}, "description"),
            ({"conversationGroupingType": "BY_LUCK"}, "conversationGroupingType"),
            ({"memoryStoreId": None}, "memoryStoreId"),
            ({"memoryStoreId": "mem_store_1"}, "memoryStoreId"),
            ({"channelSettings": {"FAX": {}}}, "channelSettings"),
            ({"channelSettings": {"VOICE": None}}, "channelSettings"),
            ({"channelSettings": {"VOICE": {"captureRules": [rule()] * 101}}}, "captureRules"),
            ({"channelSettings": {"VOICE": {"captureRules": [{"from": "*"}]}}}, "to"),
            (
                {"channelSettings": {"VOICE": {"captureRules": [{**rule(), "metadata": {"callType": 1}}]}}},
                "metadata",
            ),
            ({"channelSettings": {"VOICE": {"statusTimeouts": {"inactive": 0}}}}, "inactive"),
            ({"channelSettings": {"VOICE": {"timeouts": {}}}}, "timeouts"),
            ({"statusCallbacks": [{"url": "https://a.example"}] * 3}, "statusCallbacks"),
            ({"statusCallbacks": [{"url": "ftp://a.example"}]}, "url"),
            ({"intelligenceConfigurationIds": ["x"] * 6}, "intelligenceConfigurationIds"),
            ({"conversationsV1Bridge": {"serviceId": "IS1"}}, "serviceId"),
            ({"id": "conv_configuration_1"}, "read-only"),
            ({"somethingElse": 1}, "somethingElse"),
        ],
    )
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    async def test_what_does_not_fit_the_schema_is_refused(
        self, rest: Rest, account: SandboxAccount, fields: dict[str, Any], place: str, method: str
    ) -> None:
        path = CONFIGURATIONS if method == "POST" else f"{CONFIGURATIONS}/{account.add_configuration()}"
        body = fields if method == "PATCH" else body_of(**fields)
        if method == "PATCH" and fields == {"channelSettings": {"VOICE": None}}:
            assert (await rest(method, path, body))[0] == 202
            return
        status, error, _ = await rest(method, path, body)
        assert (status, error["code"], error["userError"]) == (400, 20001, True)
        assert place in error["message"]

    @pytest.mark.parametrize(
        "name", ["displayName", "description", "memoryStoreId", "conversationGroupingType"]
    )
    async def test_a_new_one_needs_every_required_field(self, rest: Rest, name: str) -> None:
        body = body_of()
        del body[name]
        status, error, _ = await rest("POST", CONFIGURATIONS, body)
        assert status == 400
        assert name in error["message"]

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    async def test_the_grouping_is_immutable(self, rest: Rest, account: SandboxAccount, method: str) -> None:
        configuration_id = await rest.created()
        body = body_of(conversationGroupingType="GROUP_BY_PROFILE")
        status, error, _ = await rest(method, f"{CONFIGURATIONS}/{configuration_id}", body)
        assert status == 400
        assert "cannot be changed" in error["message"]

    async def test_an_account_has_ten(self, rest: Rest, account: SandboxAccount) -> None:
        for number in range(10):
            account.add_configuration(displayName=f"c{number}")
        status, error, _ = await rest("POST", CONFIGURATIONS, body_of())
        assert status == 400
        assert "10" in error["message"]

    async def test_names_and_bridges_are_unique(self, rest: Rest) -> None:
        bridge = {"serviceId": "IS" + "0" * 32}
        first = await rest.created(conversationsV1Bridge=bridge)
        for body in (body_of(), body_of(displayName="other", conversationsV1Bridge=bridge)):
            status, error, headers = await rest("POST", CONFIGURATIONS, body)
            assert (status, error["code"]) == (409, 20409)
            assert headers["X-Conflicting-Resource-Id"] == first

    async def test_the_same_key_twice_is_one_operation(self, rest: Rest, account: SandboxAccount) -> None:
        key = str(uuid4())
        _, first, _ = await rest("POST", CONFIGURATIONS, body_of(), Idempotency_Key=key)
        _, second, _ = await rest("POST", CONFIGURATIONS, body_of(), Idempotency_Key=key)
        assert first == second
        status, _, _ = await rest("POST", CONFIGURATIONS, body_of(), Idempotency_Key="not a uuid")
        assert status == 400

    async def test_an_operation_can_fail(self, rest: Rest, account: SandboxAccount) -> None:
        account.next_failure = {"type": "x", "title": "No", "status": 400, "detail": "Because"}
        _, accepted, _ = await rest("POST", CONFIGURATIONS, body_of())
        operation = await rest.finished(accepted)
        assert operation["error"]["title"] == "No"
        assert account.configurations == {}

    async def test_reading_back_what_was_read_can_be_refused(
        self, rest: Rest, account: SandboxAccount
    ) -> None:
        """Twilio's samples do it. Whether read-only fields are taken by every account is not known."""
        configuration_id = await rest.created()
        _, whole, _ = await rest("GET", f"{CONFIGURATIONS}/{configuration_id}")
        assert (await rest("PUT", f"{CONFIGURATIONS}/{configuration_id}", whole))[0] == 202
        account.behaviour.echoes_read_only = False
        assert (await rest("PUT", f"{CONFIGURATIONS}/{configuration_id}", whole))[0] == 400

    async def test_the_queries_of_twilios_samples_mean_what_they_say(
        self, rest: Rest, account: SandboxAccount
    ) -> None:
        configuration_id = account.add_configuration()
        for _ in range(3):
            await rest("POST", CONVERSATIONS, {"configurationId": configuration_id})
        _, two, _ = await rest("GET", f"{CONVERSATIONS}?Status=ACTIVE&PageSize=2")
        assert len(two["conversations"]) == 2
        token = two["meta"]["nextToken"]
        _, last, _ = await rest("GET", f"{CONVERSATIONS}?Status=ACTIVE&PageSize=2&PageToken={token}")
        assert len(last["conversations"]) == 1
        _, none, _ = await rest("GET", f"{CONVERSATIONS}?Status=CLOSED")
        assert none["conversations"] == []
        _, one, _ = await rest("GET", f"{CONFIGURATIONS}?PageSize=1")
        assert len(one["configurations"]) == 1
        for unknown in ("Pagesize=1", "ChannelId=CA1", "STATUS=ACTIVE"):
            assert (await rest("GET", f"{CONVERSATIONS}?{unknown}"))[0] == 400
        assert (await rest("GET", f"{CONVERSATIONS}/conv_conversation_1/Participants?PageSize=1"))[0] == 400

    async def test_pages(self, rest: Rest, account: SandboxAccount) -> None:
        ids = [account.add_configuration() for _ in range(3)]
        _, first, _ = await rest("GET", f"{CONFIGURATIONS}?pageSize=2")
        assert [item["id"] for item in first["configurations"]] == ids[:2]
        assert first["meta"]["key"] == "configurations"
        _, last, _ = await rest("GET", f"{CONFIGURATIONS}?pageSize=2&pageToken={first['meta']['nextToken']}")
        assert [item["id"] for item in last["configurations"]] == ids[2:]
        assert "nextToken" not in last["meta"]


class TestConversations:
    @pytest.fixture
    def configuration_id(self, account: SandboxAccount) -> str:
        return account.add_configuration(conversationGroupingType="GROUP_BY_PARTICIPANT_ADDRESSES")

    async def test_the_configuration_is_pinned(
        self, rest: Rest, account: SandboxAccount, configuration_id: str
    ) -> None:
        _, created, _ = await rest("POST", CONVERSATIONS, {"configurationId": configuration_id})
        account.configurations[configuration_id]["description"] = "Another"
        _, found, _ = await rest("GET", f"{CONVERSATIONS}/{created['id']}")
        assert found["configuration"]["description"] == ""

    @pytest.mark.parametrize(
        ("grouping", "channel", "address", "shared"),
        [
            ("GROUP_BY_PARTICIPANT_ADDRESSES", "SMS", CALLER, True),
            ("GROUP_BY_PARTICIPANT_ADDRESSES", "WHATSAPP", f"whatsapp:{CALLER}", True),
            ("GROUP_BY_PARTICIPANT_ADDRESSES", "VOICE", "+15550100009", False),
            ("GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE", "VOICE", CALLER, True),
            ("GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE", "SMS", CALLER, False),
            ("GROUP_BY_PROFILE", "SMS", CALLER, True),
            ("GROUP_BY_PROFILE", "SMS", "+15550100009", False),
        ],
    )
    async def test_grouping_decides_who_shares_a_conversation(
        self, rest: Rest, account: SandboxAccount, grouping: str, channel: str, address: str, shared: bool
    ) -> None:
        configuration_id = account.add_configuration(conversationGroupingType=grouping)
        first = {"configurationId": configuration_id, "participants": PEOPLE}
        _, created, _ = await rest("POST", CONVERSATIONS, first)
        again = [
            {"type": "CUSTOMER", "addresses": [{"channel": channel, "address": address}]},
            {"type": "AI_AGENT", "addresses": [{"channel": channel, "address": NUMBER}]},
        ]
        status, _, headers = await rest("POST", CONVERSATIONS, first | {"participants": again})
        assert status == (409 if shared else 201)
        assert headers.get("X-Conflicting-Resource-Id") == (created["id"] if shared else None)

    async def test_a_closed_one_stands_in_nobodys_way(
        self, rest: Rest, account: SandboxAccount, configuration_id: str
    ) -> None:
        body = {"configurationId": configuration_id, "participants": PEOPLE}
        _, created, _ = await rest("POST", CONVERSATIONS, body)
        await rest("PUT", f"{CONVERSATIONS}/{created['id']}", {"status": "CLOSED"})
        assert (await rest("POST", CONVERSATIONS, body))[0] == 201

    async def test_timeouts_run_from_what_was_said_last(
        self, rest: Rest, account: SandboxAccount, configuration_id: str
    ) -> None:
        """The channel that lives longest decides."""
        account.configurations[configuration_id]["channelSettings"] = {
            "VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}},
            "SMS": {"statusTimeouts": {"inactive": 10, "closed": 60}},
            "CHAT": {"statusTimeouts": {"closed": 999}},
        }
        people = [*PEOPLE, {"addresses": [{"channel": "SMS", "address": CALLER}]}]
        now = 1_000_000.0
        account.clock = lambda: now
        body = {"configurationId": configuration_id, "participants": people}
        _, created, _ = await rest("POST", CONVERSATIONS, body)
        for minutes, expected in ((9, "ACTIVE"), (10, "INACTIVE"), (59, "INACTIVE"), (60, "CLOSED")):
            now = 1_000_000.0 + minutes * 60
            _, found, _ = await rest("GET", f"{CONVERSATIONS}/{created['id']}")
            assert found["status"] == expected

    @pytest.mark.parametrize(
        ("method", "body", "place"),
        [
            ("PATCH", {"status": "OPEN"}, "status"),
            ("PATCH", {"participants": []}, "participants"),
            ("PATCH", {"configuration": {"memoryStoreId": "x"}}, "memoryStoreId"),
            ("PATCH", {"metadata": {str(n): "x" for n in range(9)}}, "metadata"),
            ("PATCH", {"metadata": {"a b": "x"}}, "metadata"),
            ("PATCH", {"metadata": {"a": "x" * 513}}, "metadata"),
            ("PUT", {"name": "x"}, "status"),
            ("POST", {}, "configurationId"),
            ("POST", {"configurationId": "conv_configuration_1", "participants": [{}] * 51}, "participants"),
            ("POST", {"configuration": {"channelSettings": {"VOICE": {"captureRules": []}}}}, "captureRules"),
        ],
    )
    async def test_what_does_not_fit_the_schema_is_refused(
        self, rest: Rest, configuration_id: str, method: str, body: Any, place: str
    ) -> None:
        _, created, _ = await rest("POST", CONVERSATIONS, {"configurationId": configuration_id})
        path = CONVERSATIONS if method == "POST" else f"{CONVERSATIONS}/{created['id']}"
        status, error, _ = await rest(method, path, body)
        assert status == 400
        assert place in error["message"]

    async def test_a_patch_merges_metadata_and_sets_callbacks(
        self, rest: Rest, configuration_id: str
    ) -> None:
        body = {"configurationId": configuration_id, "metadata": {"a": "1", "b": "2"}, "name": "x"}
        _, created, _ = await rest("POST", CONVERSATIONS, body)
        patch = {"metadata": {"a": None, "c": "3"}, "configuration": {"statusCallbacks": []}, "name": None}
        _, patched, _ = await rest("PATCH", f"{CONVERSATIONS}/{created['id']}", patch)
        assert patched["metadata"] == {"b": "2", "c": "3"}
        assert patched["configuration"]["statusCallbacks"] == []
        assert "name" not in patched

    async def test_an_unknown_configuration_is_not_found(self, rest: Rest) -> None:
        status, _, _ = await rest("POST", CONVERSATIONS, {"configurationId": new_id("conv_configuration_")})
        assert status == 404

    async def test_one_can_have_a_configuration_of_its_own(self, rest: Rest) -> None:
        inline = {"conversationGroupingType": "GROUP_BY_PROFILE"}
        status, created, _ = await rest("POST", CONVERSATIONS, {"configuration": inline})
        assert status == 201
        assert created["configurationId"] is None
        assert created["configuration"] == inline

    async def test_lists_can_leave_fields_out(
        self, rest: Rest, account: SandboxAccount, configuration_id: str
    ) -> None:
        await rest("POST", CONVERSATIONS, {"configurationId": configuration_id})
        account.behaviour.partial_lists = True
        _, listed, _ = await rest("GET", CONVERSATIONS)
        assert "createdAt" not in listed["conversations"][0]

    async def test_nothing_is_added_to_a_closed_one(self, rest: Rest, configuration_id: str) -> None:
        _, created, _ = await rest("POST", CONVERSATIONS, {"configurationId": configuration_id})
        await rest("PATCH", f"{CONVERSATIONS}/{created['id']}", {"status": "CLOSED"})
        party = {"address": CALLER, "channel": "SMS"}
        note = {"author": party, "recipients": [party], "content": {"type": "TEXT", "text": "x"}}
        status, _, _ = await rest("POST", f"{CONVERSATIONS}/{created['id']}/Communications", note)
        assert status == 400


class TestCalls:
    """What the sandbox's phone reports, and what Twilio would make of it."""

    async def begin(self, transcriber: Transcriber, call: str = CALL, **names: Any) -> str | None:
        return await transcriber.call_started(CallStart(call, caller=CALLER, number=NUMBER, **names))

    async def test_a_named_configuration_makes_a_conversation(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        configuration_id = account.add_configuration()
        conversation_id = await self.begin(transcriber, configuration_id=configuration_id)
        [conversation] = account.conversations.values()
        assert conversation.id == conversation_id
        people = [
            (item["type"], item["addresses"][0]["address"], item["addresses"][0]["channelId"])
            for item in conversation.participants.values()
        ]
        assert people == [("CUSTOMER", CALLER, CALL), ("AI_AGENT", NUMBER, CALL)]

    @pytest.mark.parametrize(
        "names",
        [
            {},
            {"configuration_id": "conv_configuration_00000000000000000000000001"},
            {"conversation_id": "conv_conversation_00000000000000000000000001"},
            {"configuration_id": "misspelt"},
        ],
    )
    async def test_a_name_that_does_not_exist_makes_none_and_says_nothing(
        self, transcriber: Transcriber, account: SandboxAccount, names: dict[str, str]
    ) -> None:
        assert await self.begin(transcriber, **names) is None
        await transcriber.spoken(CALL, "caller", "Is anybody there?")
        assert account.conversations == {}

    async def test_a_later_part_of_the_call_joins_by_the_conversation(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        configuration_id = account.add_configuration()
        first = await self.begin(transcriber, configuration_id=configuration_id)
        second = await self.begin(transcriber, conversation_id=first)
        await transcriber.spoken(CALL, "caller", "Hello?")
        assert first == second
        [conversation] = account.conversations.values()
        assert len(conversation.participants) == 2
        assert len(conversation.communications) == 1

    async def test_a_call_joins_a_conversation_that_was_made_without_it(
        self, transcriber: Transcriber, account: SandboxAccount, rest: Rest
    ) -> None:
        """And its fragments name who spoke."""
        body = {"configurationId": account.add_configuration()}
        _, created, _ = await rest("POST", CONVERSATIONS, body)
        assert await self.begin(transcriber, conversation_id=created["id"]) == created["id"]
        await transcriber.spoken(CALL, "caller", "Hello?")
        conversation = account.conversations[created["id"]]
        assert [item["type"] for item in conversation.participants.values()] == ["CUSTOMER", "AI_AGENT"]
        [said] = conversation.communications.values()
        assert said["author"]["participantId"] in conversation.participants

    async def test_the_conversation_wins_over_the_configuration(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        first = await self.begin(transcriber, configuration_id=account.add_configuration())
        other = account.add_configuration()
        assert await self.begin(transcriber, conversation_id=first, configuration_id=other) == first

    async def test_the_same_people_come_back_to_an_open_conversation(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        timeouts = {"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}}}
        configuration_id = account.add_configuration(channelSettings=timeouts)
        first = await self.begin(transcriber, configuration_id=configuration_id)
        await transcriber.call_ended(CALL)
        second = await self.begin(transcriber, "CA" + "2" * 32, configuration_id=configuration_id)
        assert first == second

    async def test_without_timeouts_it_is_closed_with_the_call(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        configuration_id = account.add_configuration(channelSettings={"VOICE": {"statusTimeouts": None}})
        first = await self.begin(transcriber, configuration_id=configuration_id)
        await transcriber.call_ended(CALL)
        await transcriber.call_ended(CALL)
        assert account.conversations[str(first)].status == "CLOSED"
        assert await self.begin(transcriber, conversation_id=first) is None
        assert await self.begin(transcriber, configuration_id=configuration_id) != first

    async def test_what_is_said_is_written_in_fragments(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        await self.begin(transcriber, configuration_id=account.add_configuration())
        await transcriber.spoken(CALL, "caller", "Hello, who is there?")
        await transcriber.spoken(CALL, "agent", "A machine. What can I do for you, please?")
        [conversation] = account.conversations.values()
        said = list(conversation.communications.values())
        assert [(item["author"]["address"], item["content"]["text"]) for item in said] == [
            (CALLER, "Hello, who is there?"),
            (NUMBER, "A machine."),
            (NUMBER, "What can I do for you,"),
            (NUMBER, "please?"),
        ]
        assert {item["content"]["type"] for item in said} == {"TRANSCRIPTION"}
        assert [item["content"]["transcription"]["channel"] for item in said] == [0, 1, 1, 1]
        assert len({item["resourceId"] for item in said}) == 4
        assert {item["channelId"] for item in said} == {CALL}

    async def test_a_capture_rule_beside_it_is_a_second_engine(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        """Same configuration: both write to one conversation, everything twice."""
        configuration_id = account.add_configuration(channelSettings={"VOICE": {"captureRules": [rule()]}})
        await self.begin(transcriber, configuration_id=configuration_id)
        await transcriber.spoken(CALL, "caller", "Hello?")
        [conversation] = account.conversations.values()
        said = list(conversation.communications.values())
        assert [item["content"]["text"] for item in said] == ["Hello?", "Hello?"]
        assert len({item["content"]["transcription"]["engine"] for item in said}) == 2

    async def test_a_capture_rule_elsewhere_is_a_second_conversation(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        account.add_configuration(channelSettings={"VOICE": {"captureRules": [rule()]}})
        await self.begin(transcriber, configuration_id=account.add_configuration())
        assert len(account.conversations) == 2

    async def test_a_capture_rule_needs_no_twiml(
        self, transcriber: Transcriber, account: SandboxAccount
    ) -> None:
        account.add_configuration(channelSettings={"VOICE": {"captureRules": [rule()]}})
        assert await self.begin(transcriber) is None
        await transcriber.spoken(CALL, "caller", "Hello?")
        [conversation] = account.conversations.values()
        assert len(conversation.communications) == 1

    async def test_speech_on_an_unknown_call_is_refused_over_http(
        self, session: aiohttp.ClientSession, base_url: str
    ) -> None:
        remote = RemoteTranscriber(session, base_url)
        with pytest.raises(aiohttp.ClientResponseError):
            await remote.spoken(CALL, "caller", "Hello?")

    @pytest.mark.parametrize(
        ("given", "from_", "to", "expected"),
        [
            (rule(), CALLER, NUMBER, True),
            (rule(callType="PSTN"), CALLER, NUMBER, True),
            (rule(), NUMBER, CALLER, False),
            (rule(NUMBER, "*"), NUMBER, CALLER, True),
            (rule("*", "*"), CALLER, NUMBER, True),
            (rule("+1555*", NUMBER), CALLER, NUMBER, False),
            (rule(), "client:anna", NUMBER, False),
            (rule(callType="CLIENT"), "client:anna", NUMBER, True),
            (rule("anna", NUMBER, callType="CLIENT"), "client:anna", NUMBER, True),
            (rule(callType="CLIENT"), CALLER, NUMBER, False),
            (rule(callType="PUBLIC_SIP"), "sip:a@example.com", NUMBER, True),
            (rule(callType="SIP"), "sip:a@example.com", NUMBER, True),
            ({"from": "*", "to": NUMBER}, CALLER, NUMBER, True),
            ({"from": "*", "to": NUMBER, "metadata": None}, CALLER, NUMBER, True),
        ],
    )
    def test_rules_match(self, given: dict[str, Any], from_: str, to: str, expected: bool) -> None:
        assert rule_matches(given, from_, to) is expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", []),
            ("  ", []),
            ("One", ["One"]),
            ("It is 3.5 km, or so.", ["It is 3.5 km,", "or so."]),
            ("Yes!  No?\nMaybe", ["Yes!", "No?", "Maybe"]),
        ],
    )
    def test_fragments(self, text: str, expected: list[str]) -> None:
        assert fragments(text) == expected


class TestFaults:
    async def test_a_fault_hits_as_often_as_asked(self, rest: Rest, account: SandboxAccount) -> None:
        account.faults.add(Fault(path="*/Conversations", status=429, times=2, headers={"Retry-After": "3"}))
        answers = [await rest("GET", CONVERSATIONS) for _ in range(3)]
        assert [status for status, _, _ in answers] == [429, 429, 200]
        assert answers[0][2]["Retry-After"] == "3"

    async def test_a_fault_hits_what_it_names_only(self, rest: Rest, account: SandboxAccount) -> None:
        account.faults.add(Fault(path="*/Configurations", method="POST"))
        assert (await rest("GET", CONFIGURATIONS))[0] == 200
        assert (await rest("GET", CONVERSATIONS))[0] == 200

    async def test_faults_can_be_asked_for_over_http(self, rest: Rest) -> None:
        await rest("POST", "/_sandbox/faults", {"status": 503, "path": "*/Conversations"})
        assert (await rest("GET", CONVERSATIONS))[0] == 503

    async def test_a_delay_alone_lets_the_request_through(self, rest: Rest, account: SandboxAccount) -> None:
        account.faults.add(Fault(status=None, delay=0.01))
        assert (await rest("GET", CONVERSATIONS))[0] == 200


class TestServing:
    async def test_a_port_that_is_taken_is_an_error(self, base_url: str) -> None:
        port = urlsplit(base_url).port
        assert port is not None
        with pytest.raises(OSError, match="in use"):
            async with serve(double_app(SandboxAccount()), port=port):
                pass

    async def test_it_stops_with_a_request_in_progress(
        self, session: aiohttp.ClientSession, account: SandboxAccount, caplog: pytest.LogCaptureFixture
    ) -> None:
        account.faults.add(Fault(delay=3_600))
        headers = {"Authorization": aiohttp.encode_basic_auth(account.sid, TOKEN)}
        async with serve(double_app(account)) as url:
            waiting = asyncio.create_task(session.get(url + CONVERSATIONS, headers=headers))
            while account.faults.waiting:  # noqa: ASYNC110 - the server sets no event
                await asyncio.sleep(0)
        assert (await waiting).status == 503
        assert [record for record in caplog.records if record.exc_info] == []
