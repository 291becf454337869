"""The calls of the API for one kind of job: a request's message in, the answer's message out, over gRPC and HTTP alike."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf import empty_pb2, json_format

from vertex_sweeper.api import OUTPUT_FIELDS
from vertex_sweeper.api_names import ANY_PARENT, format_job, format_parent, split_job
from vertex_sweeper.emulator.api_error import ApiError, invalid
from vertex_sweeper.emulator.filters import parse_filter
from vertex_sweeper.emulator.job_kind import CUSTOM_JOB, JobKind
from vertex_sweeper.emulator.job_message import JobMessage
from vertex_sweeper.emulator.operations import Operations
from vertex_sweeper.errors import JobNotFound
from vertex_sweeper.services.local import LocalService

_PARENT_FORM: Final = format_parent("PROJECT", "LOCATION")

_Key = tuple[str, str]
"""What jobs are listed by: the time of creation, and the name."""

_PAGE: Final = 100
"""How many jobs a page has at most, and without a size of its own. The API's numbers are not documented."""


class JobApi:
    """The API's calls for jobs of one kind, on a local service.

    Any thread may call. All raise ApiError, and the service's errors.

    Args:
        service: Runs the jobs; those of other kinds are left alone.
        kind: The kind of job.
        operations: Where the operation of a deletion is kept.
        log_of: The file of what a trial prints, by the job's id and the trial's. A custom job prints as trial 1.
        discard: Is called with the id of a job that was deleted.
    """

    def __init__(
        self,
        service: LocalService,
        *,
        kind: JobKind,
        operations: Operations,
        log_of: Callable[[str, str], Path],
        discard: Callable[[str], None],
    ) -> None:
        self.kind = kind
        self._operations = operations
        self._log_of = log_of
        self._service = service
        self._discard = discard
        self._lock = threading.Lock()
        self._messages: dict[str, JobMessage] = {}

    def create(self, request: Any) -> Any:
        """Creates and starts a job."""
        _check_parent(request.parent)
        spec = json_format.MessageToDict(getattr(request, self.kind.field))
        for field in OUTPUT_FIELDS:  # the API passes over what a caller puts there
            spec.pop(field, None)
        if self.kind is CUSTOM_JOB:
            spec.setdefault("jobSpec", {})  # one that is not set is a mistake, and makes no tuning job
        return json_format.ParseDict(self._service.create(request.parent, spec), self.kind.message())

    def get(self, request: Any) -> Any:
        """The job as it stands."""
        return self.kind.message.FromString(self.get_encoded(request))

    def get_encoded(self, request: Any) -> bytes:
        """The same as the bytes of its message: what clients ask for most, and again and again, is not made anew."""
        self._check_name(request.name)
        with self._named(request.name):
            return self._message(request.name).encode()

    def list_page(self, request: Any) -> Any:
        """A page of the parent's jobs that pass the filter, the newest first."""
        _check_parent(request.parent)
        if request.page_size < 0:
            raise invalid("page_size", f"page_size must not be negative, got {request.page_size}.")
        if not request.read_mask.IsValidForDescriptor(self.kind.message.DESCRIPTOR):
            raise invalid("read_mask", f"A job does not have all fields of the read_mask {request.read_mask.paths}.")
        question = f"{request.parent}\n{request.filter}"
        found = self._find(request.parent, request.filter)
        if request.page_token:
            last = _read_token(request.page_token, question)
            found = [entry for entry in found if entry[0] < last]
        size = min(request.page_size or _PAGE, _PAGE)
        page = self.kind.page()
        for _, message in found[:size]:
            with contextlib.suppress(JobNotFound):  # deleted while we were looking
                job = self.kind.message.FromString(message.encode())
                self.kind.jobs_of(page).append(_masked(job, request.read_mask))
        if len(found) > size:
            page.next_page_token = _write_token(found[size - 1][0], question)
        return page

    def cancel(self, request: Any) -> Any:
        """Asks the job to end."""
        self._check_name(request.name)
        with self._named(request.name):
            self._service.cancel(request.name)
        return empty_pb2.Empty()

    def delete(self, request: Any) -> Any:
        """Forgets a job that has ended, and its files. The operation that the API makes of it is done at once."""
        job_id = self._check_name(request.name)
        with self._named(request.name):
            deleted = self._service.delete(request.name)
        if not deleted:
            raise ApiError("FAILED_PRECONDITION", f"{request.name} has not ended: cancel it first.")
        with self._lock:
            self._messages.pop(request.name, None)
        self._discard(job_id)
        return self._operations.deleted(request.name)

    def _find(self, parent: str, text: str) -> list[tuple[_Key, JobMessage]]:
        """The parent's jobs that pass the filter, the newest first."""
        matches = parse_filter(text)
        beginning = format_job(parent, "", collection=self.kind.collection)
        found = []
        for name in self._service.names():
            if not name.startswith(beginning):
                continue
            # Deleted while we were looking; or a record of another hand has fields that the API has not.
            with contextlib.suppress(JobNotFound, json_format.ParseError):
                message = self._message(name)
                about = message.describe()
                if matches(about):
                    found.append(((about["createTime"].isoformat(), name), message))
        return sorted(found, key=lambda entry: entry[0], reverse=True)

    def _message(self, name: str) -> JobMessage:
        with self._lock:
            message = self._messages.get(name)
        if message is not None:
            return message
        self._service.changes(name)  # raises JobNotFound: nobody can fill our memory with names
        with self._lock:
            return self._messages.setdefault(name, JobMessage(self._service, name, kind=self.kind, log_of=self._log_of))

    def _check_name(self, name: str) -> str:
        """The job's id. Raises ApiError for what is no name, or that of another kind of job."""
        parts = split_job(name)
        if parts is None or name != format_job(*parts, collection=self.kind.collection):
            form = format_job(_PARENT_FORM, "ID", collection=self.kind.collection)
            raise invalid("name", f"A {self.kind.name}'s name is {form}, got {name!r}.")
        return parts[1]

    @contextlib.contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Says of a job that is not there what it is, and whose jobs were looked through."""
        try:
            yield
        except JobNotFound as error:
            line = f"The {self.kind.name} {name} is not found: the emulator has no such job."
            raise ApiError("NOT_FOUND", line) from error


def _check_parent(parent: str) -> None:
    if not re.fullmatch(ANY_PARENT, parent):
        raise invalid("parent", f"A parent is {_PARENT_FORM}, got {parent!r}.")


def _masked(job: Any, mask: Any) -> Any:
    if not mask.paths:
        return job
    masked = type(job)()
    mask.MergeMessage(job, masked)
    return masked


def _write_token(last: _Key, question: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([zlib.crc32(question.encode()), *last]).encode()).decode()


def _read_token(token: str, question: str) -> _Key:
    try:
        asked, time, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        asked, time, name = None, "", ""
    if asked != zlib.crc32(question.encode()):
        raise invalid("page_token", "The page_token is not one of this list: parent and filter must be the same.")
    return str(time), str(name)
