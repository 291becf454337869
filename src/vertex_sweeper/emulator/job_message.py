"""A job as the API's message, kept up to date by what has changed: an answer costs the same after 5 trials and after 500."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timezone
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1.types import JobState, Trial
from google.protobuf import json_format

from vertex_sweeper.api import PRIMARY_REPLICA
from vertex_sweeper.emulator.job_kind import CUSTOM_JOB, JobKind
from vertex_sweeper.services.local import LocalService

_RawTrial = Trial.pb()


class JobMessage:
    """One job of a service; any thread may ask."""

    def __init__(self, service: LocalService, name: str, *, kind: JobKind, log_of: Callable[[str, str], Path]) -> None:
        self._kind = kind
        self._log_of = log_of
        self._service = service
        self._name = name
        self._lock = threading.Lock()
        self._message = kind.message()
        self._revision = 0
        self._encoded = b""

    def encode(self) -> bytes:
        """The job's message as it stands, as it goes over the wire. Raises JobNotFound."""
        with self._lock:
            self._refresh()
            return self._encoded

    def describe(self) -> dict[str, Any]:
        """What a filter can ask about. Raises JobNotFound."""
        with self._lock:
            self._refresh()
            message = self._message
            return {
                "displayName": message.display_name,
                "state": JobState(message.state).name,
                "createTime": message.create_time.ToDatetime(tzinfo=timezone.utc),
                "labels": dict(message.labels),
            }

    def _refresh(self) -> None:
        changes = self._service.changes(self._name, self._revision)
        if changes.revision == self._revision:
            return
        json_format.ParseDict(changes.job, self._message)
        if self._kind is CUSTOM_JOB and self._message.HasField("start_time"):
            self._show_log(self._message, "1")
        for trial in changes.trials:
            fresh = json_format.ParseDict(trial, _RawTrial())
            self._show_log(fresh, fresh.id)
            place = int(fresh.id) - 1  # trials are numbered from 1, and never taken away
            if place < len(self._message.trials):
                self._message.trials[place].CopyFrom(fresh)
            else:
                self._message.trials.append(fresh)
        self._revision = changes.revision
        self._encoded = self._message.SerializeToString()

    def _show_log(self, message: Any, trial: str) -> None:
        # Where Vertex has the addresses of a replica's shell: a client on this machine finds what was printed.
        message.web_access_uris[PRIMARY_REPLICA] = self._log_of(self._name.rpartition("/")[2], trial).as_uri()
