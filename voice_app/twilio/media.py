"""Downloads from Twilio that are no JSON, such as recordings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from yarl import URL

from voice_app.twilio.errors import ApiError, Trouble, from_reply
from voice_app.twilio.http import TwilioApi

_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_MOST_MOVES: Final = 4
_CHUNK: Final = 64 * 1024
_LONGEST_REFUSAL: Final = 16 * 1024


async def download(api: TwilioApi, product: str, path: str, *, most: int) -> AsyncIterator[bytes]:
    """The media at a path, piece by piece. Raises `ApiError`, also beyond ``most`` bytes.

    Twilio may keep media elsewhere: a redirect is followed over https only, and without our credentials.
    """
    address = own = api.url(product, path)
    try:
        for _ in range(_MOST_MOVES):
            ours = URL(address).origin() == URL(own).origin()
            async with api.opened(address, ours=ours) as response:
                if response.status not in _MOVED:
                    async for chunk in _content(response, address, most):
                        yield chunk
                    return
                following = URL(address).join(URL(response.headers.get("Location", "")))
            if following.origin() != URL(own).origin() and following.scheme != "https":
                break
            address = str(following)
    except TimeoutError:
        raise _error(Trouble.TIMEOUT, own, "the download stalled") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _error(Trouble.UNREACHABLE, own, f"no connection: {type(error).__name__}") from None
    raise _error(Trouble.MOVED, own, "it is somewhere else, where we do not follow")


async def _content(response: aiohttp.ClientResponse, address: str, most: int) -> AsyncIterator[bytes]:
    if response.status != 200:
        body = await response.content.read(_LONGEST_REFUSAL)
        raise from_reply("GET", address, response.status, response.headers, body)
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > most:
            raise _error(Trouble.REFUSED, address, f"it has more than {most} bytes")
        yield chunk


def _error(trouble: Trouble, url: str, message: str) -> ApiError:
    return ApiError(trouble, method="GET", url=url, message=message)
