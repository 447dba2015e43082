from __future__ import annotations

import json
import socket
import time

import pytest

from support.followups import CALL, OURS, Office
from support.receiver import KEY, Receiver
from voice_app.followups.delivery import DeliveryTask, report_id, signed
from voice_app.journal.events import Analysed, Closed, Conversed, FollowedUp, Opened, Prompted
from voice_app.settings import webhook_key

CONVERSATION = "conv_conversation_" + "1" * 26
DAY = 24 * 3600.0


def delivery(office: Office, url: str) -> DeliveryTask:
    return DeliveryTask(office.journal, url, KEY)


def call_is_over(office: Office) -> None:
    office.write(Opened("+15550199999", OURS, "inbound"), Prompted("Hello?"), Closed("completed", 4.0))


def test_a_signature_is_that_of_the_specification() -> None:
    key = webhook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', key)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_report_is_delivered(office: Office, receiver: Receiver) -> None:
    call_is_over(office)
    assert await office.attempt(delivery(office, receiver.url)) is None
    assert receiver.ids == [report_id(CALL)]
    assert receiver.reports[0]["call_sid"] == CALL
    assert await office.outcome("report") == ("delivered", "204")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again_with_the_same_id(
    office: Office, receiver: Receiver, status: int
) -> None:
    call_is_over(office)
    receiver.answers = [status]
    assert await office.attempt(delivery(office, receiver.url)) is not None
    assert await office.attempt(delivery(office, receiver.url), number=1) is None
    assert receiver.ids == [report_id(CALL)] * 2
    assert receiver.reports[0] == receiver.reports[1]


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410, 422])
async def test_what_will_not_pass_is_given_up_loudly(
    office: Office, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    call_is_over(office)
    receiver.answers, receiver.headers = [status], {"Location": receiver.url}
    assert await office.attempt(delivery(office, receiver.url)) is None
    assert len(receiver.ids) == 1
    assert await office.outcome("report") == ("refused", str(status))
    assert f"call {CALL}: report: refused ({status})" in caplog.text


async def test_it_waits_as_long_as_it_is_asked_to(office: Office, receiver: Receiver) -> None:
    call_is_over(office)
    receiver.answers, receiver.headers = [503], {"Retry-After": "120"}
    assert await office.attempt(delivery(office, receiver.url)) == 120


async def test_it_waits_longer_and_longer(office: Office, receiver: Receiver) -> None:
    call_is_over(office)
    receiver.answers = [500] * 12
    waits = [await office.attempt(delivery(office, receiver.url), number=number) for number in range(12)]
    plain = [min(5.0 * 2**number, 900.0) for number in range(12)]
    assert all(0.8 * ours <= (wait or 0) <= 1.2 * ours for ours, wait in zip(plain, waits, strict=True))


async def test_it_is_given_up_after_a_day(office: Office, receiver: Receiver) -> None:
    call_is_over(office)
    receiver.answers = [500, 500]
    asked_at = time.time() - DAY
    assert await office.attempt(delivery(office, receiver.url), asked_at=asked_at + 60) is not None
    assert await office.attempt(delivery(office, receiver.url), asked_at=asked_at - 60) is None
    assert await office.outcome("report") == ("given up", "answered 500")


async def test_a_receiver_that_is_not_there_is_tried_again(office: Office) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    call_is_over(office)
    assert await office.attempt(delivery(office, f"http://127.0.0.1:{port}/calls")) is not None


async def test_it_tells_of_the_other_follow_ups_if_they_do_not_take_long(
    office: Office, receiver: Receiver
) -> None:
    call_is_over(office)
    office.write(FollowedUp("begun", "", "close report"))
    assert await office.attempt(delivery(office, receiver.url)) is not None
    assert receiver.ids == []
    assert await office.attempt(delivery(office, receiver.url), asked_at=time.time() - 61) is None
    assert receiver.ids == [report_id(CALL)]


async def test_what_was_said_about_the_conversation_is_in_it(office: Office, receiver: Receiver) -> None:
    call_is_over(office)
    office.write(Conversed(CONVERSATION))
    office.write(Analysed("intelligence_operator_x", "Asked for nothing."), call_sid=CONVERSATION)
    await office.attempt(delivery(office, receiver.url))
    assert [item["result"] for item in receiver.reports[0]["analysed"]] == ["Asked for nothing."]


async def test_neither_the_secret_nor_the_caller_is_in_the_log(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    call_is_over(office)
    receiver.answers = [500, 400]
    await office.attempt(delivery(office, receiver.url))
    await office.attempt(delivery(office, receiver.url), number=1)
    assert caplog.records
    for told in ("+15550199999", "Hello?", "whsec_", KEY.decode(), json.dumps(receiver.reports[0])):
        assert told not in caplog.text
