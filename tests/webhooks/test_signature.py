"""Every case of a signature, against the ``twilio`` package's own computation and its published vectors."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from voice_app.webhooks.signature import MAX_BROKEN, QUESTION, RequestRefusedError, Signatures

TOKEN = "12345"
FORM_TYPE = "application/x-www-form-urlencoded"
PUBLISHED = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}


def signatures(host: str = "mycompany.com", **keys: str) -> Signatures:
    return Signatures(f"https://{host}", f"wss://{host}", [TOKEN], keys)


def signed(url: str, fields: dict[str, str] | None = None, token: str = TOKEN) -> str:
    return str(RequestValidator(token).compute_signature(url, fields or {}))


def post(fields: dict[str, str] | list[tuple[str, str]]) -> bytes:
    return urlencode(fields).encode()


def headers(signature: str, kind: str = FORM_TYPE, **more: str) -> dict[str, str]:
    return {"x-twilio-signature": signature, "content-type": kind, **more}


def test_the_published_vector_passes() -> None:
    form = signatures().check_request(
        "POST", "/myapp.php?foo=1&bar=2", headers("RSOYDt4T1cUTdK1PDd93/VVr8B8="), post(PUBLISHED)
    )
    assert form == PUBLISHED


def test_the_published_vector_fails_with_another_field() -> None:
    with pytest.raises(RequestRefusedError, match="does not match"):
        signatures().check_request(
            "POST",
            "/myapp.php?foo=1&bar=2",
            headers("RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            post({**PUBLISHED, "Digits": "1235"}),
        )


def test_the_published_json_vector_passes() -> None:
    target = (
        "/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
    )
    body = b'{"property": "value", "boolean": true}'
    form = signatures().check_request(
        "POST", target, headers("a9nBmqA0ju/hNViExpshrM61xv4=", "application/json"), body
    )
    assert form["foo"] == "1"


@pytest.mark.parametrize("host", ["mycompany.com:8443", "mycompany.com"])
@pytest.mark.parametrize("written", ["mycompany.com", "mycompany.com:443", "mycompany.com:8443"])
def test_the_port_may_be_signed_or_not(host: str, written: str) -> None:
    known = written == "mycompany.com" or written == host or (":" not in host and written.endswith(":443"))
    given_headers = headers(signed(f"https://{written}/voice", PUBLISHED))
    if known:
        signatures(host).check_request("POST", "/voice", given_headers, post(PUBLISHED))
    else:
        with pytest.raises(RequestRefusedError):
            signatures(host).check_request("POST", "/voice", given_headers, post(PUBLISHED))


def test_a_get_is_signed_over_its_url() -> None:
    target = "/voice?CallSid=CA1&From=%2B1555"
    form = signatures().check_request("GET", target, headers(signed(f"https://mycompany.com{target}")), b"")
    assert form == {"CallSid": "CA1", "From": "+1555"}


@pytest.mark.parametrize(
    "target", ["/voice?a=b%20c", "/voice?a=b+c", "/voice?z=1&a=%27%40%3A", "/a%2Fb/voice"]
)
def test_the_raw_url_is_what_counts(target: str) -> None:
    given_headers = headers(signed(f"https://mycompany.com{target}", PUBLISHED))
    assert signatures().check_request("POST", target, given_headers, post(PUBLISHED)) == PUBLISHED


@pytest.mark.parametrize(
    ("written", "order_of_signing"),
    [
        ("/voice?hop=1&attempt=2", "/voice?attempt=2&hop=1"),
        ("/voice?b=%20x&a=", "/voice?a=&b=%20x"),
        ("/voice?b=1&a=2&a=1", "/voice?a=2&a=1&b=1"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_may_be_signed_as_twilio_sorts_it(written: str, order_of_signing: str, method: str) -> None:
    fields = PUBLISHED if method == "POST" else {}
    for target in (written, order_of_signing):
        signature = headers(signed(f"https://mycompany.com{target}", fields))
        signatures().check_request(method, written, signature, post(fields))
    with pytest.raises(RequestRefusedError, match="does not match"):
        signatures().check_request(
            method, f"{written}&c=3", headers(signed(f"https://mycompany.com{written}", fields)), post(fields)
        )


def test_a_json_body_is_genuine_over_the_sorted_query_too() -> None:
    body = b"{}"
    query = f"z=1&bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = signed(f"https://mycompany.com/orchestrator/events?{'&'.join(sorted(query.split('&')))}")
    signatures().check_request(
        "POST", f"/orchestrator/events?{query}", headers(signature, "application/json"), body
    )


def test_blank_fields_are_part_of_the_signature() -> None:
    fields = {**PUBLISHED, "CallerName": ""}
    given_headers = headers(signed("https://mycompany.com/voice", fields))
    assert signatures().check_request("POST", "/voice", given_headers, post(fields))["CallerName"] == ""


def test_duplicate_fields_are_part_of_the_signature() -> None:
    pairs = [("MediaUrl", "b"), ("MediaUrl", "a"), ("CallSid", "CA1")]
    signature = RequestValidator(TOKEN).compute_signature("https://mycompany.com/voice", MultiDict(pairs))
    signatures().check_request("POST", "/voice", headers(signature), post(pairs))
    with pytest.raises(RequestRefusedError):
        signatures().check_request("POST", "/voice", headers(signature), post(pairs[1:]))


def test_both_tokens_count_during_a_rotation() -> None:
    rotating = Signatures("https://mycompany.com", "wss://mycompany.com", ["new", "old"], {})
    for token in ("new", "old"):
        given_headers = headers(signed("https://mycompany.com/voice", PUBLISHED, token))
        assert rotating.check_request("POST", "/voice", given_headers, post(PUBLISHED)) == PUBLISHED


def sha256_signed(url: str, fields: dict[str, str], secret: str) -> str:
    text = url + "".join(name + value for name, value in sorted(fields.items()))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def test_a_shared_key_signs_with_sha256() -> None:
    signature = sha256_signed("https://mycompany.com/voice", PUBLISHED, "shared secret")
    settings = {"x-twilio-webhooks-signature-settings": "key=key_1,algorithm=HMAC_SHA256"}
    form = signatures(key_1="shared secret").check_request(
        "POST", "/voice", headers(signature, **settings), post(PUBLISHED)
    )
    assert form == PUBLISHED


@pytest.mark.parametrize(
    "settings",
    [
        "key=key_2,algorithm=HMAC_SHA256",
        "key=key_1,algorithm=HMAC_MD5",
        "key=key_1",
        "algorithm=HMAC_SHA256",
        ";",
    ],
)
def test_a_shared_key_that_is_not_ours_is_refused(settings: str) -> None:
    signature = sha256_signed("https://mycompany.com/voice", PUBLISHED, "shared secret")
    with pytest.raises(RequestRefusedError):
        signatures(key_1="shared secret").check_request(
            "POST",
            "/voice",
            headers(signature, **{"x-twilio-webhooks-signature-settings": settings}),
            post(PUBLISHED),
        )


def json_target(body: bytes, path: str = "/orchestrator/events") -> str:
    return f"{path}?bodySHA256={hashlib.sha256(body).hexdigest()}"


def test_a_json_body_counts_by_its_hash() -> None:
    body = b'{"eventType":"CONVERSATION_CREATED"}'
    target = json_target(body)
    given_headers = headers(signed(f"https://mycompany.com{target}"), "application/json; charset=utf-8")
    signatures().check_request("POST", target, given_headers, body)


def test_a_json_body_that_was_changed_is_refused() -> None:
    target = json_target(b'{"a":1}')
    given_headers = headers(signed(f"https://mycompany.com{target}"), "application/json")
    with pytest.raises(RequestRefusedError, match="bodySHA256"):
        signatures().check_request("POST", target, given_headers, b'{"a":2}')


def test_a_json_body_without_its_hash_is_refused() -> None:
    given_headers = headers(signed("https://mycompany.com/events"), "application/json")
    with pytest.raises(RequestRefusedError, match="bodySHA256"):
        signatures().check_request("POST", "/events", given_headers, b"{}")


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_a_body_that_no_signature_covers_is_refused(kind: str) -> None:
    with pytest.raises(RequestRefusedError, match="cannot be verified"):
        signatures().check_request(
            "POST", "/voice", headers(signed("https://mycompany.com/voice"), kind), b"x=1"
        )


def test_no_signature_is_refused() -> None:
    with pytest.raises(RequestRefusedError, match="no X-Twilio-Signature"):
        signatures().check_request("POST", "/voice", {"content-type": FORM_TYPE}, post(PUBLISHED))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("&".join(["a=1"] * (QUESTION.fields + 1)), "fields"),
        ("&" * QUESTION.fields, "fields"),
        ("a=" + "%41" * (QUESTION.escapes + 1), "escapes"),
        ("a=" + "%" * (QUESTION.escapes + 1), "escapes"),
        ("a=" + "%ff" * (MAX_BROKEN + 1), "no UTF-8"),
        ("a=" + "%" * (MAX_BROKEN + 1), "no UTF-8"),
    ],
)
def test_too_much_is_refused_in_a_form_and_in_a_query(body: str, why: str) -> None:
    with pytest.raises(RequestRefusedError, match=why):
        signatures().check_request("POST", "/voice", headers("A" * 28), body.encode())
    with pytest.raises(RequestRefusedError, match=why):
        signatures().check_request("GET", f"/voice?{body}", headers("A" * 28), b"")


def test_the_head_of_a_request_is_enough_to_refuse_it() -> None:
    check = signatures().check_head
    with pytest.raises(RequestRefusedError, match="no X-Twilio-Signature"):
        check("/voice", {"content-type": FORM_TYPE})
    for signature in ("A" * 27, "A" * 43, "é" * 29):
        with pytest.raises(RequestRefusedError, match="length of a signature"):
            check("/voice", headers(signature))
    with pytest.raises(RequestRefusedError, match="does not match"):
        check("/events?bodySHA256=00", headers("A" * 28, "application/json"))
    for size in ({"content-length": "5"}, {"transfer-encoding": "chunked"}):
        with pytest.raises(RequestRefusedError, match="text/plain cannot be verified"):
            check("/voice", headers("A" * 28, "text/plain", **size))
    check("/voice", headers("A" * 28))
    check("/voice", headers("A" * 28, "text/plain"))


def test_the_host_that_the_client_names_does_not_count() -> None:
    given_headers = headers(signed("https://evil.example/voice", PUBLISHED))
    given_headers |= {"host": "evil.example", "x-forwarded-host": "evil.example"}
    with pytest.raises(RequestRefusedError):
        signatures().check_request("POST", "/voice", given_headers, post(PUBLISHED))


FIELD = st.one_of(st.text("+%&=a é"), st.text(max_size=8))


@given(st.lists(st.tuples(FIELD, FIELD), max_size=8), st.text("&=+%25befcadBEF0é\ufffd", max_size=40))
def test_what_the_package_signs_passes_whatever_the_fields_are(
    pairs: list[tuple[str, str]], more: str
) -> None:
    body = f"{urlencode(pairs, errors='replace')}&{more}"
    read = parse_qsl(body, keep_blank_values=True)
    signature = RequestValidator(TOKEN).compute_signature("https://mycompany.com/voice", MultiDict(read))
    form = signatures().check_request("POST", "/voice", headers(signature), body.encode())
    assert form == dict(read)


@given(st.text(), st.binary(max_size=50))
def test_garbage_is_refused_and_nothing_else_happens(signature: str, body: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        signatures().check_request("POST", "/voice", headers(signature), body)


@pytest.mark.parametrize(
    "url",
    [
        "wss://mycompany.com/relay/abc",
        "wss://mycompany.com/relay/abc/",
        "wss://mycompany.com:443/relay/abc",
    ],
)
def test_a_socket_is_signed_as_written_or_with_a_slash(url: str) -> None:
    signatures().check_socket("/relay/abc", {"x-twilio-signature": signed(url)})


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("wss://mycompany.com/relay/abc?a=1&b=2", {}),
        ("wss://mycompany.com/relay/abc/?a=1&b=2", {}),
        ("wss://mycompany.com/relay/abc", {"a": "1", "b": "2"}),
        ("wss://mycompany.com/relay/abc", {}),
    ],
)
def test_a_sockets_query_is_signed_in_any_of_the_ways_that_are_told(url: str, fields: dict[str, str]) -> None:
    signatures().check_socket("/relay/abc?a=1&b=2", {"x-twilio-signature": signed(url, fields)})


@pytest.mark.parametrize(
    "url",
    [
        "https://mycompany.com/relay/abc",
        "ws://mycompany.com/relay/abc",
        "wss://mycompany.com/relay/abd",
        "wss://x/relay/abc",
    ],
)
def test_a_socket_signed_for_another_address_is_refused(url: str) -> None:
    with pytest.raises(RequestRefusedError):
        signatures().check_socket("/relay/abc", {"x-twilio-signature": signed(url)})
