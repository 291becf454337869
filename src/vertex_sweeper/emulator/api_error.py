"""How a call fails: an error of the API, over gRPC and over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from vertex_sweeper.errors import InvalidJob, MissingExtra, ServiceError

log = logging.getLogger(__name__)

HTTP_STATUSES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
}
"""The codes that are used here, as gRPC spells them, and what HTTP says instead."""


class ApiError(Exception):
    """The call was not answered.

    Attributes:
        code: The API's status code.
        message: What is said.
        fields: Pairs of a field of the request and what is wrong with it, for the API's `google.rpc.BadRequest`.
        http: The status over HTTP.
    """

    def __init__(self, code: str, message: str, *, fields: Sequence[tuple[str, str]] = (), http: int | None = None) -> None:
        self.code = code
        self.message = message
        self.fields = tuple(fields)
        self.http = http or HTTP_STATUSES[code]
        super().__init__(message)


def invalid(field: str, message: str) -> ApiError:
    """The error of a request that has a mistake in one field."""
    return ApiError("INVALID_ARGUMENT", message, fields=[(field, message)])


@contextmanager
def api_errors() -> Iterator[None]:
    """Turns every error into a ApiError: those of the local service into what the API says, mistakes of ours into INTERNAL."""
    try:
        yield
    except ApiError:
        raise
    except InvalidJob as error:
        raise ApiError("INVALID_ARGUMENT", str(error), fields=error.fields) from error
    except MissingExtra as error:
        raise ApiError("FAILED_PRECONDITION", str(error)) from error
    except ServiceError as error:
        raise ApiError("UNAVAILABLE", str(error)) from error
    except Exception as error:
        log.exception("The emulator failed.")
        raise ApiError("INTERNAL", f"the emulator failed: {error!r}") from error
