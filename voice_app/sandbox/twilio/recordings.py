"""``/2010-04-01/…/Recordings``: the media of what callers left, once it is there and until it is erased.

Source: https://www.twilio.com/docs/voice/api/recording
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voice_app.sandbox.twilio.errors import not_found
from voice_app.sandbox.twilio.middleware import account_of


async def _media(request: Request) -> Response:
    account, sid = account_of(request), request.path_params["recording_sid"]
    media = account.recordings.get(sid)
    if media is None or request.path_params["account_sid"] != account.sid:
        raise not_found(request.url.path)
    return Response(media, media_type="audio/mpeg")


async def _delete(request: Request) -> Response:
    account, sid = account_of(request), request.path_params["recording_sid"]
    if sid not in account.recordings or request.path_params["account_sid"] != account.sid:
        raise not_found(request.url.path)
    del account.recordings[sid]
    return Response(status_code=204)


_ONE = "/2010-04-01/Accounts/{account_sid}/Recordings/{recording_sid}"

ROUTES = [
    Route(f"{_ONE}.mp3", _media, methods=["GET"]),
    Route(f"{_ONE}.json", _delete, methods=["DELETE"]),
]
