"""How the double says no: both shapes that Twilio's errors are seen in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from starlette.responses import JSONResponse

Shape = Literal["A", "B"]
"""A: ``code, message, more_info, status``. B: ``code, httpStatusCode, message, userError, params``."""


class RefusedError(Exception):
    """A request that Twilio would refuse."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.params = params

    def response(self, shape: Shape) -> JSONResponse:
        if shape == "A":
            body: dict[str, Any] = {
                "code": self.code,
                "message": self.message,
                "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
                "status": self.status,
            }
        else:
            body = {
                "code": self.code,
                "httpStatusCode": self.status,
                "message": self.message,
                "userError": self.status < 500,
                "params": dict(self.params or {}),
            }
        return JSONResponse(body, self.status, self.headers)


def invalid(message: str, **params: Any) -> RefusedError:
    """400, as for everything that does not fit the schema."""
    return RefusedError(400, 20001, message, params=params)


def not_found(what: str) -> RefusedError:
    return RefusedError(404, 20404, f"The requested resource {what} was not found")


def conflict(message: str, existing: str) -> RefusedError:
    """409 with the id of what stands in the way."""
    return RefusedError(409, 20409, message, headers={"X-Conflicting-Resource-Id": existing})
