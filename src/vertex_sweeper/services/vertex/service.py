"""Vertex AI as a service: the generated client's calls, with timeouts, and repeated where a repetition changes nothing."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import repeat
from typing import Any, Final

from vertex_sweeper.api import Job, JobState, is_custom_job, job_state
from vertex_sweeper.api_names import JobName, is_custom
from vertex_sweeper.errors import JobNotFound, ServiceError
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.vertex import message
from vertex_sweeper.services.vertex.connection import Connection, connect
from vertex_sweeper.services.vertex.errors import Call, Verb, translate
from vertex_sweeper.services.vertex.extra import vertex_extra

log = logging.getLogger(__name__)

# Seconds. The client itself sets none, and would wait for ever.
TIMEOUTS: Final = {Verb.CREATE: 60.0, Verb.GET: 30.0, Verb.LIST: 30.0, Verb.CANCEL: 30.0}
PAUSES: Final = Backoff(first=1.0, longest=8.0, times=4)
"""Between the attempts of one call that may be repeated."""

_PAGE_SIZE: Final = 100
_LABEL = re.compile(r"[a-z0-9_-]+")


class VertexService:
    """Tuning jobs and custom jobs on Vertex AI in one location (a `Service`, and `find`).

    Making one does nothing; Google's client is imported, and credentials are looked for, at the first call.

    Args:
        location: The region, `europe-west4`.
        endpoint: Another host than the region's own; with `http://` in front an emulator, spoken to without credentials.
        impersonate: A service account's address to act as.
        client: A ready `JobServiceClient`, used as it is.
        pause: Waits for a number of seconds.
        backoff: Between the attempts of one call that may be repeated; `PAUSES` by default.
        timeouts: After how many seconds without an answer each call is given up.
    """

    def __init__(
        self,
        location: str,
        *,
        endpoint: str | None = None,
        impersonate: str | None = None,
        client: Any = None,
        pause: Callable[[float], None] = time.sleep,
        backoff: Backoff | None = None,
        timeouts: Mapping[Verb, float] = TIMEOUTS,
    ) -> None:
        open_ = partial(connect, location, endpoint=endpoint, impersonate=impersonate)
        ready = (client, None)
        self._connection = Connection(open_ if client is None else lambda: ready, impersonate=impersonate)
        self._pause = pause
        self._backoff = PAUSES if backoff is None else backoff
        self._timeouts = timeouts
        self._brief: Callable[[], bool] = lambda: False

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        """Sends the call exactly once. Of a `ServiceError`, `acted` tells whether a job may exist all the same."""
        custom = is_custom_job(spec)
        request = {"parent": parent, "custom_job" if custom else "hyperparameter_tuning_job": message.to_message(spec)}
        return message.to_job(self._once(Call(Verb.CREATE, parent, custom=custom), request))

    def get(self, name: str) -> Job:
        """Repeated when the service is unavailable for the moment."""
        _check_name(name)
        return message.to_job(self._repeatedly(Call(Verb.GET, name, custom=is_custom(name)), {"name": name}))

    def cancel(self, name: str) -> None:
        """Repeated like a read: a second request to end a job changes nothing, and a lost one leaves it running, and paid."""
        _check_name(name)
        try:
            self._repeatedly(Call(Verb.CANCEL, name, custom=is_custom(name)), {"name": name})
        except ServiceError as error:
            # How the service answers for a job that has already ended is undocumented.
            if error.code not in ("FAILED_PRECONDITION", "INVALID_ARGUMENT") or not self._is_ending(name):
                raise

    def find(self, parent: str, labels: Mapping[str, str | None], *, custom: bool | None = None) -> list[Job]:
        """The jobs that carry all these labels; None stands for any value. Tuning jobs come first, else in the service's order.

        How soon a new job can be found is undocumented: an empty answer soon after `create` does not prove that there is none.
        """
        wanted = " AND ".join(_label_filter(key, value) for key, value in labels.items())
        request = {"parent": parent, "filter": wanted, "page_size": _PAGE_SIZE}
        kinds = (False, True) if custom is None else (custom,)
        return [message.to_job(job) for kind in kinds for job in self._list(Call(Verb.LIST, parent, custom=kind), request)]

    def be_brief_when(self, brief: Callable[[], bool]) -> None:
        """While `brief()` is true no call is made again: it ends with the error that it met."""
        self._brief = brief

    def renew(self) -> None:
        """Makes the next call on a new connection, with credentials looked for anew: their owner may have mended them."""
        self._connection.renew()

    def _list(self, call: Call, request: dict[str, Any]) -> Iterator[Any]:
        token = ""
        while True:
            page = self._repeatedly(call, {**request, "page_token": token})
            yield from page.custom_jobs if call.custom else page.hyperparameter_tuning_jobs
            token = page.next_page_token
            if not token:
                return

    def _is_ending(self, name: str) -> bool:
        state = job_state(self.get(name))
        return state is not None and (state.ended or state is JobState.CANCELLING)

    def _repeatedly(self, call: Call, request: dict[str, Any]) -> Any:
        with vertex_extra():
            from google.api_core.retry import retry_target

        pauses = iter(self._backoff)
        met: ServiceError | None = None

        def attempt() -> Any:
            if met is not None and self._brief():
                raise met
            return self._once(call, request)

        def may_be_repeated(error: Exception) -> bool:
            return isinstance(error, ServiceError) and error.transient and not self._brief()

        def wait(error: Exception) -> None:
            nonlocal met
            assert isinstance(error, ServiceError)
            met = error
            seconds = next(pauses, None)
            if seconds is None:
                raise error
            log.debug("%s; again in %.1f s", error, seconds)
            self._pause(seconds)

        # Google's loop knows no number of attempts, and sleeps by itself: `wait` counts and pauses, and it sleeps no time.
        return retry_target(attempt, may_be_repeated, repeat(0.0), None, on_error=wait)

    def _once(self, call: Call, request: dict[str, Any]) -> Any:
        client = self._connection.client()
        with vertex_extra():
            from google.api_core.exceptions import GoogleAPIError

        method = getattr(client, call.method)
        try:
            # `retry=None` also switches off whatever a later client might repeat by default.
            return method(request=request, retry=None, timeout=self._timeouts[call.verb])
        except GoogleAPIError as error:
            raise translate(error, call) from error


def _check_name(name: str) -> None:
    try:
        JobName.parse(name)
    except ValueError as error:
        raise JobNotFound(str(error)) from None


def _label_filter(key: str, value: str | None) -> str:
    for text in (key, value):
        if text is not None and not _LABEL.fullmatch(text):
            raise ValueError(f"a label is made of lowercase letters, digits, _ and -, but got {text!r}")
    return f"labels.{key}:*" if value is None else f"labels.{key}={value}"
