"""The emulator as a whole: a local service, the servers in front of it, and the folder that its jobs live in."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.emulator.loopback import loopback_address
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.extras import require
from vertex_sweeper.services.local import LocalService

if TYPE_CHECKING:
    import grpc

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


class Emulator:
    """Vertex AI's tuning jobs and custom jobs on this machine, for any client of the API, between `with` and its end.

    **It runs whatever command it is sent**, as you, and so listens on loopback only. Trials run in this process's working
    directory with its environment.

    Args:
        host: A loopback name or address.
        port: The gRPC port; 0 takes a free one.
        tls: Serve with a certificate made for this machine; clients must trust `ca_file`.
        data: Where jobs live on when the emulator ends: a later one with the same folder has them again, and runs on those
            that had not ended. None: a temporary folder that goes with the emulator, and jobs that are cancelled with it.
        gcs: The folder that stands for the buckets: what is `/gcs/bucket/x` in a container is `bucket/x` there.
        environment: What trials inherit; by default this process's environment.
        seed: The same seed gives the same suggestions, as long as trials also end in the same order.
        grace: For how many seconds a trial that was asked to end may go on.
        metric_interval: Every how many seconds the metrics of running trials are read, in jobs that may stop trials early.
        clock: What time it is, in seconds since 1970.
        interceptors: gRPC server interceptors, for tests of clients: they may delay, fail or drop any call.
        token: What callers must show. None: nothing on Linux, where only processes of this user and root are answered, and
            elsewhere a token made for this emulator.

    Raises:
        ServiceError: It cannot listen there, or another emulator uses the data.
        MissingExtra: Something is not installed.

    Attributes:
        address: `127.0.0.1:PORT`, where gRPC is served.
        rest_address: The same for REST.
        ca_file: The certificate that clients must trust; None without TLS.
        token: What callers must show, as `authorization: Bearer TOKEN`; None if nothing.
        folder: Where everything is; what a job's trials print is in `jobs/<job id>/logs/`.
        service: The local service behind it all.
    """

    def __init__(
        self,
        *,
        host: str = HOST,
        port: int = 0,
        tls: bool = False,
        data: str | Path | None = None,
        gcs: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        seed: int | None = None,
        grace: float = 10.0,
        metric_interval: float = 1.0,
        clock: Callable[[], float] = time.time,
        interceptors: Sequence[grpc.ServerInterceptor] = (),
        token: str | None = None,
    ) -> None:
        self._host = loopback_address(host)
        self._port = port
        self._tls = tls
        self._data = Path(data).absolute() if data is not None else None
        self._settings: dict[str, Any] = {
            "environment": environment,
            "seed": seed,
            "grace": grace,
            "metric_interval": metric_interval,
            "clock": clock,
            "buckets": Path(gcs).absolute() if gcs is not None else None,
        }
        self._interceptors = tuple(interceptors)
        self._token = token
        self._running = ExitStack()
        self.token = token
        self.address = ""
        self.rest_address = ""
        self.ca_file: Path | None = None
        self.folder: Path
        self.service: LocalService

    def __enter__(self) -> Emulator:  # noqa: PYI034 - `Self` came with Python 3.11
        with ExitStack() as stack:
            self._start(stack)
            self._running = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def log_of(self, job_id: str, trial: str) -> Path:
        """The file of what a trial prints; a custom job prints as trial 1."""
        return self.folder / "jobs" / job_id / "logs" / f"{trial}.log"

    def close(self) -> None:
        """Stops listening, and ends all trials. Repeatable."""
        self._running.close()

    def _start(self, stack: ExitStack) -> None:
        for module in ("google.cloud.aiplatform_v1", "cryptography", "optuna"):
            require(module, extra="emulator", purpose="the emulator")
        from vertex_sweeper.emulator.api import JobApi
        from vertex_sweeper.emulator.callers import make_callers
        from vertex_sweeper.emulator.grpc_server import GrpcServer
        from vertex_sweeper.emulator.job_kind import CUSTOM_JOB, TUNING_JOB
        from vertex_sweeper.emulator.operations import Operations
        from vertex_sweeper.emulator.rest_server import RestServer

        folder = self.folder = self._find_folder(stack)
        jobs, records = folder / "jobs", folder / "records" if self._data else None
        self.service = stack.enter_context(
            LocalService(lambda job_id: jobs / job_id, records=records, needs_image=True, **self._settings)
        )
        identity = None
        if self._tls:
            from vertex_sweeper.emulator.certificate import make_identity

            identity = make_identity(self._host)
            self.ca_file = write_text(folder / "ca.pem", identity.authority.decode())
        operations = Operations()
        files: dict[str, Any] = {
            "log_of": self.log_of,
            "discard": lambda job_id: shutil.rmtree(jobs / job_id, ignore_errors=True),
        }
        apis = [JobApi(self.service, kind=kind, operations=operations, **files) for kind in (TUNING_JOB, CUSTOM_JOB)]
        callers = make_callers(self._token)
        self.token = callers.token
        shared: dict[str, Any] = {"operations": operations, "callers": callers, "host": self._host, "identity": identity}
        grpc = GrpcServer(apis, port=self._port, interceptors=self._interceptors, **shared)
        stack.callback(grpc.close)
        rest = RestServer(apis, **shared)
        stack.callback(rest.close)
        self.address, self.rest_address = grpc.address, rest.address
        self.service.resume()  # with ports at hand, and before anybody can ask for a job
        grpc.open()
        rest.open()

    def _find_folder(self, stack: ExitStack) -> Path:
        if self._data is None:
            folder = Path(tempfile.mkdtemp(prefix="vertex-emulator-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            return folder
        try:
            self._data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServiceError(f"the folder {self._data} cannot be used: {error}") from error
        return self._data
