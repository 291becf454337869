"""Everything the engine refuses or gives up on, as one tree.

SweepError                      what went wrong, on one line each; Hydra prints it without a traceback
├── InvalidSweep                mistakes in what the user wrote, found before anything started (also a ValueError)
├── MissingExtra                an optional part of the package is not installed (also an ImportError)
├── UnsupportedHydra            the installed Hydra lacks something that a sweep needs
├── SweepDirectoryError         the sweep directory cannot be used (also an OSError)
├── SweepFailed                 the job ended without a usable result; the results so far are written
├── JobFailed                   a launched job has not completed; its JobReturn raises this
└── ServiceError                the service refused or could not be reached
    ├── JobNotFound             no job of that name (also a KeyError)
    ├── Unanswered              a call was given up because a signal came
    ├── JobsTaken               another process on this machine runs the jobs of a folder
    └── InvalidJob              the service does not accept the specification (also a ValueError)
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra.errors import CompactHydraException

from vertex_sweeper.messages import printable


class SweepError(CompactHydraException):
    """Base of all: Hydra prints such an error without a traceback, provided it is raised inside `sweep()`.

    Its text is for a terminal, whatever others have named the things in it; it has a line where we began one.
    """

    def __str__(self) -> str:
        return "\n".join(map(printable, BaseException.__str__(self).split("\n")))


class InvalidSweep(SweepError, ValueError):
    """One or several mistakes in the sweep's settings or search space. Nothing was started."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(map(printable, mistakes))
        super().__init__("\n".join(self.mistakes))


class MissingExtra(SweepError, ImportError):
    """A part of the package that this sweep needs is not installed; the message is the command that installs it."""

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(f"{purpose} needs an extra: pip install 'hydra-vertex-sweeper[{extra}]'")


class UnsupportedHydra(SweepError):
    """The installed Hydra lacks a part that a sweep needs; the message names the part and its purpose."""


class SweepDirectoryError(SweepError, OSError):
    """The sweep directory cannot be written, or already holds a job."""


class SweepFailed(SweepError):
    """The job failed, was cancelled, or no trial has a result."""


class JobFailed(SweepError):
    """A launched job has not completed.

    Attributes:
        traceback: Python's, from the job's process, where its task raised; else empty.
    """

    def __init__(self, message: str, *, traceback: str = "") -> None:
        self.traceback = traceback
        super().__init__(f"{message}\n{traceback}".rstrip("\n"))


class ServiceError(SweepError):
    """The service refused a call, or could not be reached.

    Attributes:
        code: The API's status code as it spells it, `UNAVAILABLE`; None when the failure is not an answer of the API.
        acted: False when the service certainly did not do what it was asked for, None when nobody can tell: a job may then
            exist, and must be looked for before it is created again.
        transient: Whether the same call may succeed later without anybody doing anything.
    """

    def __init__(self, message: str, *, code: str | None = None, acted: bool | None = None, transient: bool = False) -> None:
        self.code = code
        self.acted = acted
        self.transient = transient
        super().__init__(message)


class JobNotFound(ServiceError, KeyError):
    """The service has no job of this name."""

    __str__ = SweepError.__str__  # a KeyError would print its message in quotes

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, acted=False)


class Unanswered(ServiceError):
    """A signal came, and the service did not answer the call that was under way in the little time that was left to it."""


class JobsTaken(ServiceError):
    """Another process on this machine runs the jobs of a folder."""


class InvalidJob(ServiceError, ValueError):
    """The service does not accept the job's specification; it may name several fields at once.

    Attributes:
        fields: Pairs of a field's path in the specification (`studySpec.parameters[0].scaleType`) and what is wrong with it;
            empty when the service named none.
    """

    def __init__(self, message: str, *, code: str | None = None, fields: Sequence[tuple[str, str]] = ()) -> None:
        self.fields = tuple(fields)
        super().__init__(message, code=code, acted=False)
