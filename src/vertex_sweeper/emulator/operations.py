"""The long-running operations of the API. Here all are done at once, and can still be asked for."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import Any, Final

from google.cloud.aiplatform_v1.types import DeleteOperationMetadata
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from vertex_sweeper.emulator.api_error import ApiError

_MOST: Final = 1000
"""How many finished operations can still be asked for."""


class Operations:
    """Finished operations. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: OrderedDict[str, Any] = OrderedDict()

    def deleted(self, name: str) -> Any:
        """A new operation: it has deleted the job of this name."""
        id = 10**18 + secrets.randbelow(8 * 10**18)
        operation = operations_pb2.Operation(name=f"{name}/operations/{id}", done=True)
        operation.metadata.Pack(DeleteOperationMetadata.pb()())
        operation.response.Pack(empty_pb2.Empty())
        with self._lock:
            self._operations[operation.name] = operation
            if len(self._operations) > _MOST:
                self._operations.popitem(last=False)
        return operation

    def get(self, request: Any) -> Any:
        """An operation by its name. Raises ApiError."""
        with self._lock:
            operation = self._operations.get(request.name)
        if operation is None:
            raise ApiError("NOT_FOUND", f"There is no operation {request.name!r}.")
        return operation
