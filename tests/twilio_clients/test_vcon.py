"""A conversation as a vCon (draft-ietf-vcon-vcon-core-04)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from voice_app.twilio import Communication, Conversation, OperatorResult, Participant
from voice_app.twilio.vcon import vcon

EXPORTED = datetime(2026, 1, 2, tzinfo=UTC)
CALL = "CA" + "0" * 32


def conversation(**fields: Any) -> Conversation:
    return Conversation.read(
        {"id": "conv_conversation_1", "status": "CLOSED", "createdAt": "2026-01-01T10:00:00.000Z"} | fields
    )


PEOPLE = [
    Participant.read(
        {
            "id": "conv_participant_1",
            "type": "CUSTOMER",
            "profileId": "mem_profile_1",
            "addresses": [{"channel": "VOICE", "address": "+15550100002", "channelId": CALL}],
        }
    ),
    Participant.read(
        {
            "id": "conv_participant_2",
            "name": "Larkspur Bikes",
            "type": "AI_AGENT",
            "addresses": [{"channel": "VOICE", "address": "+15550100001"}],
        }
    ),
]


def spoken(number: int, text: str, *, ours: bool = False, **fields: Any) -> Communication:
    sides: list[dict[str, Any]] = [
        {"address": "+15550100002", "channel": "VOICE", "participantId": "conv_participant_1"},
        {"address": "+15550100001", "channel": "VOICE", "participantId": "conv_participant_2"},
    ]
    author, recipient = sides[::-1] if ours else sides
    return Communication.read(
        {
            "id": f"conv_communication_{number}",
            "author": author,
            "recipients": [recipient],
            "content": {"type": "TRANSCRIPTION", "text": text, "transcription": {"engine": "deepgram"}},
            "channelId": CALL,
            "resourceId": f"GT-{number}",
            "createdAt": f"2026-01-01T10:00:{number:02}.000Z",
        }
        | fields
    )


SAID = [spoken(1, "Are you open?"), spoken(2, "We are,", ours=True), spoken(3, "all day.", ours=True)]


def result(**fields: Any) -> OperatorResult:
    return OperatorResult.read({"id": "intelligence_operatorresult_1", "outputFormat": "TEXT"} | fields)


def test_the_container_has_what_the_draft_asks_for() -> None:
    document = vcon(conversation(name="A refund"), PEOPLE, SAID, exported_at=EXPORTED)
    assert list(document) == [
        *("vcon", "uuid", "extensions", "created_at", "updated_at", "subject"),
        *("parties", "dialog", "analysis", "attachments"),
    ]
    assert document["vcon"] == "0.4.0"
    assert UUID(document["uuid"]).version == 8
    assert document["extensions"] == ["CC"]
    assert document["created_at"] == "2026-01-01T10:00:00.000+00:00"
    assert document["updated_at"] == "2026-01-02T00:00:00.000+00:00"
    assert document["subject"] == "A refund"


def test_the_same_conversation_has_the_same_uuid_and_another_has_another() -> None:
    def uuid(conversation_id: str) -> str:
        found = vcon(conversation(id=conversation_id), [], [], exported_at=EXPORTED)["uuid"]
        assert isinstance(found, str)
        return found

    assert uuid("conv_conversation_1") == uuid("conv_conversation_1")
    assert uuid("conv_conversation_1") != uuid("conv_conversation_2")


def test_the_parties_are_known_by_number_name_and_role() -> None:
    caller, agent = vcon(conversation(), PEOPLE, SAID, exported_at=EXPORTED)["parties"]
    assert UUID(caller.pop("uuid")).version == 8
    assert caller == {"tel": "tel:+15550100002", "role": "customer"}
    assert agent == {
        "tel": "tel:+15550100001",
        "name": "Larkspur Bikes",
        "validation": "none",
        "role": "agent",
    }


def test_every_kind_of_address_has_its_place() -> None:
    addresses = ("whatsapp:+15550100003", "sip:ann@example.com", "client:bob", "+15550100004")
    people = [
        Participant.read({"id": str(number), "addresses": [{"channel": "VOICE", "address": address}]})
        for number, address in enumerate(addresses)
    ]
    parties = vcon(conversation(), people, [], exported_at=EXPORTED)["parties"]
    assert parties == [
        {"tel": "tel:+15550100003"},
        {"sip": "sip:ann@example.com"},
        {"name": "bob", "validation": "none"},
        {"tel": "tel:+15550100004"},
    ]


def test_the_dialog_is_what_people_read() -> None:
    first, second = vcon(conversation(), PEOPLE, SAID, exported_at=EXPORTED)["dialog"]
    assert first == {
        "type": "text",
        "start": "2026-01-01T10:00:01.000+00:00",
        "parties": [0, 1],
        "mediatype": "text/plain",
        "encoding": "none",
        "body": "Are you open?",
        "application": "VOICE",
        "message_id": "GT-1",
        "interaction_id": CALL,
    }
    assert (second["body"], second["parties"]) == ("We are, all day.", [1, 0])


def test_who_speaks_without_taking_part_becomes_a_party() -> None:
    stranger = {"address": "+15550100009", "channel": "SMS"}
    said = [spoken(1, "Hi", author=stranger), spoken(2, "Me again", author=stranger)]
    document = vcon(conversation(), PEOPLE, said, exported_at=EXPORTED)
    assert document["parties"][2:] == [{"tel": "tel:+15550100009"}]
    assert document["dialog"][0]["parties"] == [2, 1]


def test_times_that_are_missing_are_those_of_the_conversation() -> None:
    said = [spoken(1, "Hi", createdAt=None)]
    document = vcon(conversation(), PEOPLE, said, exported_at=EXPORTED)
    assert document["dialog"][0]["start"] == document["created_at"]
    timeless = vcon(conversation(createdAt=None), PEOPLE, said, exported_at=EXPORTED)
    assert timeless["created_at"] == timeless["dialog"][0]["start"] == "2026-01-02T00:00:00.000+00:00"


def test_what_operators_made_of_it_is_analysis() -> None:
    results = [
        result(
            operator={"id": "intelligence_operator_1", "displayName": "Summary"}, result={"text": "Short."}
        ),
        result(
            operator={"id": "intelligence_operator_01kcrvw16kfa88qvgrfmr7y151"},
            outputFormat="CLASSIFICATION",
            result={"label": "positive"},
        ),
        result(operator={"id": "intelligence_operator_2"}, outputFormat="JSON", result={"score": 3}),
    ]
    analysis = vcon(conversation(), PEOPLE, SAID, results, exported_at=EXPORTED)["analysis"]
    assert [item["type"] for item in analysis] == ["summary", "sentiment", "report"]
    assert analysis[0] == {
        "type": "summary",
        "dialog": [0, 1],
        "vendor": "Twilio",
        "product": "Summary",
        "schema": "TEXT",
        "mediatype": "text/plain",
        "encoding": "none",
        "body": "Short.",
    }
    assert analysis[1]["product"] == "sentiment"
    assert (analysis[1]["encoding"], analysis[1]["body"]) == ("json", {"label": "positive"})
    assert (analysis[2]["product"], analysis[2]["body"]) == ("intelligence_operator_2", {"score": 3})


def test_an_analysis_names_the_dialog_that_it_rests_on() -> None:
    def based_on(**communications: Any) -> Any:
        made = result(result={"text": ""}, executionDetails={"communications": communications})
        return vcon(conversation(), PEOPLE, SAID, [made], exported_at=EXPORTED)["analysis"][0]["dialog"]

    assert based_on(first="conv_communication_2", last="conv_communication_3") == [1]
    assert based_on(first="conv_communication_1", last="conv_communication_3") == [0, 1]
    assert based_on(first="conv_communication_1", last="gone") == [0, 1]
    assert based_on() == [0, 1]
