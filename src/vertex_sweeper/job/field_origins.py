"""From a field of the job back to the setting that wrote it, for messages in the user's own words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from vertex_sweeper.errors import InvalidJob
from vertex_sweeper.job.fields import CONTAINER_ELSEWHERE, ELSEWHERE, FIELDS_OF_SETTINGS, MACHINE, POOL_PLACES, WORKER_POOLS
from vertex_sweeper.job.spec_overrides import overridden
from vertex_sweeper.settings import JobSettings, TrialSettings

_ROOT: Final = "hydra.sweeper"
_FIELDS: Final = {
    **{field: name for name, field in ELSEWHERE.items()},
    **{place.field: place.setting for place in FIELDS_OF_SETTINGS},
}
_POOL_FIELDS: Final = {
    **{field: name for name, field in CONTAINER_ELSEWHERE.items()},
    **{place.field: place.setting for place in POOL_PLACES},
}
_POOL: Final = re.compile(re.escape(WORKER_POOLS) + r"\[(\d+)\]\.?(.*)")


def setting_of(path: str, trial: TrialSettings | None = None) -> str | None:
    """The setting behind a field of the job, `hydra.sweeper.trial.machine_type`; None where no setting writes it.

    Args:
        path: The field as the service names it, from the job on, in camelCase or snake_case, with indices:
            `trialJobSpec.workerPoolSpecs[0].machineSpec.machineType`. A part of a field, or a message that holds several
            fields, is traced as far as it is one setting's.
        trial: The settings the job was built from. With them, what a further pool has from the first one is the first one's.
    """
    camel = re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), path)
    pool = _POOL.fullmatch(camel)
    if pool is None:
        name = _nearest(camel, _FIELDS)
        return f"{_ROOT}.{name}" if name else None
    index, field = int(pool.group(1)), pool.group(2)
    name = _nearest(field, _POOL_FIELDS)
    own = index > 0 and not (trial and name and _is_inherited(trial, index - 1, name))
    section = f"{_ROOT}.trial.worker_pools[{index - 1}]" if own else f"{_ROOT}.trial"
    if name is None:
        return section if own else None
    return f"{section}.{name}"


def in_our_words(error: InvalidJob) -> InvalidJob:
    """The same error with the settings behind the fields that the service named, where there are some."""
    settings: dict[str, None] = {}
    for name in filter(None, (setting_of(field) for field, _ in error.fields)):
        # A further pool has from the first one what it leaves open.
        settings |= dict.fromkeys([name, re.sub(r"worker_pools\[\d+\]\.", "", name)])
    if not settings:
        return error
    return InvalidJob(f"{error}; see {', '.join(settings)}", code=error.code, fields=error.fields)


def lines_in_our_words(fields: Iterable[tuple[str, str]], settings: JobSettings) -> list[str]:
    """A line for each field and what is wrong with it, led by where the user wrote it: a setting, or `spec_overrides`.

    What nobody wrote is led by the field, and a mistake without a field by nothing.
    """
    lines = []
    for field, mistake in fields:
        if field and overridden(settings.spec_overrides, field):
            where = f"{_ROOT}.spec_overrides.{field}: "
        else:
            setting = setting_of(field, settings.trial) if field else None
            where = f"{setting}: " if setting else f"the job's {field}: " if field else ""
            # Without a word on where it is, it is in what nobody has looked at yet.
            where = f"{_ROOT}.spec_overrides: " if not field and settings.spec_overrides else where
        lines.append(f"{where}{mistake}")
    return list(dict.fromkeys(lines))


def _is_inherited(trial: TrialSettings, place: int, name: str) -> bool:
    pools = trial.worker_pools or ()
    pool = pools[place] if place < len(pools) else None
    if pool is None:
        return not pools  # a pool that `replica_count` made is like the first
    return pool.machine_type is None if name in MACHINE else getattr(pool, name) is None


def _nearest(path: str, fields: dict[str, str]) -> str | None:
    """The setting of the field itself, of the field it is a part of, or of all fields in it when they are one setting's."""
    bare = re.sub(r"\[\d+\]", "", path)
    parts = bare.split(".")
    for length in range(len(parts), 0, -1):
        name = fields.get(".".join(parts[:length]))
        if name:
            return name
    inner = {name for field, name in fields.items() if field.startswith(f"{bare}.")}
    common = {name.rpartition(".")[0] for name in inner} if len(inner) > 1 else inner
    return next(iter(common)) or None if len(common) == 1 else None
