"""`spec_overrides`: what the API has and no setting says, merged last into the job.

Mappings merge, key by key, and null takes a field away. A list is replaced whole by a list, or changed in places by a mapping
whose keys are positions: `workerPoolSpecs: {0: {…}}`. What the container relies on cannot be changed here, because the trial
would refuse to run, or report elsewhere than the sweep reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from vertex_sweeper.api import MOST_LABELS, OUTPUT_FIELDS, Job, broken_label_rules, container_job, is_custom_job
from vertex_sweeper.credentials import credentials_among, credentials_in, shown
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.settings import SWEEP_LABEL
from vertex_sweeper_runtime.contract import VARIABLE

_ROOT: Final = "hydra.sweeper.spec_overrides"

_KEPT: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    f"labels.{SWEEP_LABEL}": (
        lambda job: job["labels"][SWEEP_LABEL],
        "by it the sweep's job is found again: leave it out",
    ),
    "studySpec.parameters": (
        lambda job: job["studySpec"]["parameters"],
        "the container would refuse the trial: sweep in hydra.sweeper.params",
    ),
    "studySpec.metrics": (
        lambda job: [(metric["metricId"], metric["goal"]) for metric in job["studySpec"]["metrics"]],
        "ids and goals come from hydra.sweeper.metrics: set them there",
    ),
    "trialJobSpec.baseOutputDirectory": (
        lambda job: container_job(job).get("baseOutputDirectory"),
        "set hydra.sweeper.vertex.base_output_directory",
    ),
}
"""What must come out of the merge as it went in, and the remedy. A custom job has no study."""

_CONTAINER_KEPT: Final = {
    "command": "set hydra.sweeper.trial.command, or worker_pools' command",
    "args": "fixed overrides belong on the command line or into hydra.sweeper.params",
}


def apply_overrides(job: Mapping[str, Any], overrides: Mapping[str, Any], *, allow_secrets: bool = False) -> Job:
    """The job with `spec_overrides` merged into it. Raises InvalidSweep with every mistake that can be told without the API."""
    if not overrides:
        return cast("Job", job)
    mistakes: list[str] = []
    merged = _merged(job, overrides, "", mistakes)
    mistakes += [f"{_ROOT}.{key}: is written by the service: leave it out" for key in overrides if key in OUTPUT_FIELDS]
    mistakes = mistakes or [*_changed(job, merged), *_changed_containers(job, merged), *_new_labels(job, merged)]
    if not allow_secrets:
        mistakes += _new_credentials(job, merged)
    if mistakes:
        raise InvalidSweep(mistakes)
    return cast("Job", merged)


def overridden(overrides: Mapping[str, Any], field: str) -> bool:
    """Whether a field of the merged job, by its path, or a part of it, came from `spec_overrides`."""
    part: Any = overrides
    for name in re.findall(r"[^.\[\]]+", field):
        if not isinstance(part, Mapping):
            return True
        places = {str(key): value for key, value in part.items()}
        if not name.isdigit() and places and all(map(str.isdigit, places)):
            return True  # an item of a list, and the path does not say which
        part = places.get(name)
        if part is None:
            return False
    return True


def _merged(old: Any, new: Any, path: str, mistakes: list[str]) -> Any:
    where = f"{_ROOT}{path}"
    if not isinstance(new, Mapping):
        if isinstance(old, Mapping) and path:
            mistakes.append(f"{where}: {shown(new):.80} must be a mapping: the API has several fields here")
        if isinstance(new, list):
            return [_merged(None, item, f"{path}[{place}]", mistakes) for place, item in enumerate(new)]
        return new
    if isinstance(old, list) or (old is None and new and all(_position(key) is not None for key in new)):
        return _merged_list(old or [], new, path, mistakes)
    merged = dict(old) if isinstance(old, Mapping) else {}
    for key, value in new.items():
        if "_" in str(key) and path != ".labels":
            camel = re.sub(r"_(.)", lambda match: match.group(1).upper(), str(key))
            mistakes.append(f"{where}.{key}: fields are written in the API's JSON form (did you mean {camel}?)")
        elif value is None:
            merged.pop(str(key), None)
        else:
            merged[str(key)] = _merged(merged.get(str(key)), value, f"{path}.{key}", mistakes)
    return merged


def _merged_list(old: list[Any], new: Mapping[Any, Any], path: str, mistakes: list[str]) -> list[Any]:
    merged = list(old)
    for key, value in sorted(new.items(), key=lambda item: (_position(item[0]) is None, _position(item[0]) or 0)):
        where, position = f"{_ROOT}{path}.{key}", _position(key)
        if position is None:
            mistakes.append(f"{where}: a list stands here: write {{0: …}} for its first item, or the whole list")
        elif value is None:
            mistakes.append(f"{where}: one item of a list cannot be taken away: write the whole list")
        elif position > len(merged):
            mistakes.append(f"{where}: the list has {len(merged)} items: the next position is {len(merged)}")
        elif position == len(merged):
            merged.append(_merged(None, value, f"{path}[{position}]", mistakes))
        else:
            merged[position] = _merged(merged[position], value, f"{path}[{position}]", mistakes)
    return merged


def _position(key: Any) -> int | None:
    text = str(key)
    return int(text) if text.isascii() and text.isdigit() else None


def _changed(job: Mapping[str, Any], merged: Mapping[str, Any]) -> Iterator[str]:
    for path, (read, remedy) in _KEPT.items():
        if is_custom_job(job) and path.startswith("studySpec."):
            continue
        try:
            same = read(merged) == read(job)
        except (KeyError, TypeError, AttributeError):
            same = False
        if not same:
            yield f"{_ROOT}.{_in(job, path)}: must stay as it was written: {remedy}"


def _in(job: Mapping[str, Any], path: str) -> str:
    """Where a field of a tuning job stands in this one."""
    return path.replace("trialJobSpec.", "jobSpec.", 1) if is_custom_job(job) else path


def _changed_containers(job: Mapping[str, Any], merged: Mapping[str, Any]) -> Iterator[str]:
    """Containers with a contract keep it, and the command and the overrides that it repeats."""
    after_all = _containers(merged)
    for index, before in _containers(job).items():
        contract = _contract(before)
        if contract is None:
            continue
        path = f"{_ROOT}.{_in(job, 'trialJobSpec.workerPoolSpecs')}[{index}].containerSpec"
        after = after_all.get(index)
        if after is None:
            yield f"{path}: must stay: it holds the contract with the container"
            continue
        for field, remedy in _CONTAINER_KEPT.items():
            if after.get(field) != before.get(field):
                yield f"{path}.{field}: must stay as it was written: {remedy}"
        if _contract(after) != contract:
            yield f"{path}.env: must keep {VARIABLE} as it was written: set hydra.sweeper.trial.env instead"


def _new_labels(job: Mapping[str, Any], merged: Mapping[str, Any]) -> Iterator[str]:
    """The rules for labels that came in by an override; those in the settings were looked at there."""
    labels = merged.get("labels")
    if not isinstance(labels, Mapping):
        return  # checked later, like every field's type
    if len(labels) > MOST_LABELS:
        yield f"{_ROOT}.labels: {len(labels)} labels in all, and at most {MOST_LABELS} are possible"
    for key, value in labels.items():
        if isinstance(value, str) and job["labels"].get(key) != value:
            yield from (f"{_ROOT}.labels.{key}: {broken}" for broken in broken_label_rules(key, value))


_IN_ENVIRONMENT: Final = re.compile(r".*\.env\[\d+\]\.(name|value)")


def _new_credentials(job: Mapping[str, Any], merged: Mapping[str, Any]) -> list[str]:
    """Credentials that came in by an override; those in the settings were looked at there."""
    known, known_texts = set(_all_variables(job)), set(_texts(job))
    variables = [
        line
        for name, value in _all_variables(merged)
        if (name, value) not in known
        for line in credentials_in({name: value}, where=f"{_ROOT} (env)")
    ]
    texts = [(path, text) for path, text in _texts(merged) if (path, text) not in known_texts]
    others = [(f"{_ROOT}.{path}", text) for path, text in texts if not _IN_ENVIRONMENT.fullmatch(path)]
    return [*variables, *credentials_among(others)]


def _all_variables(job: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [variable for container in _containers(job).values() for variable in _variables(container)]


def _texts(part: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts in a part of the job, names of fields and labels among them, by their paths."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield path.lstrip("."), str(key)
            yield from _texts(value, f"{path}.{key}")
    elif isinstance(part, list):
        for place, item in enumerate(part):
            yield from _texts(item, f"{path}[{place}]")
    elif isinstance(part, str):
        yield path.lstrip("."), part


def _containers(job: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """The containers by the place of their pools. The job may be of any shape: it is checked later."""
    spec: Any = container_job(job)
    pools = spec.get("workerPoolSpecs") if isinstance(spec, Mapping) else None
    specs = {
        place: pool.get("containerSpec") or pool.get("pythonPackageSpec")
        for place, pool in enumerate(pools if isinstance(pools, list) else ())
        if isinstance(pool, Mapping)
    }
    return {place: spec for place, spec in specs.items() if isinstance(spec, Mapping)}


def _variables(container: Mapping[str, Any]) -> list[tuple[str, str]]:
    entries = container.get("env")
    entries = entries if isinstance(entries, list) else []
    return [(str(entry.get("name")), str(entry.get("value", ""))) for entry in entries if isinstance(entry, Mapping)]


def _contract(container: Mapping[str, Any]) -> str | None:
    return dict(_variables(container)).get(VARIABLE)
