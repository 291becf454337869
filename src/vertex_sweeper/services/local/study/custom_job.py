"""A custom job's record: that of a study of one trial without parameters and metrics, shown as a CustomJob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from vertex_sweeper.api import is_custom_job
from vertex_sweeper.services.local.study.study import Study
from vertex_sweeper.services.local.study.trial import Trial

EXIT_CODE: Final = 3
"""The error code of a custom job whose container exits with another code than 0, as users quote the service."""


class CustomJobStudy(Study):
    """The record of a custom job. Others see no trial: the job fails as its trial does."""

    what: ClassVar = "job"

    @property
    def _shown(self) -> Sequence[Trial]:
        return ()

    def _failure(self, last: str) -> tuple[int, str]:
        return EXIT_CODE, last


def study_class(spec: Mapping[str, Any]) -> type[Study]:
    """What keeps the record of a job of this specification."""
    return CustomJobStudy if is_custom_job(spec) else Study
