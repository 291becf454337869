"""Rules on single settings and between them, that types cannot say: a line for each one broken."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import PurePosixPath

from vertex_sweeper.api import LONGEST_DISPLAY_NAME, MOST_LABELS, Goal, broken_label_rules
from vertex_sweeper.api_names import ACCOUNT, LOCATION, PROJECT
from vertex_sweeper.credentials import credentials_among, credentials_in
from vertex_sweeper.endpoint import Endpoint
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.settings.devices import DeviceSharing, broken_devices
from vertex_sweeper.settings.durations import as_written
from vertex_sweeper.settings.image_name import broken_repository
from vertex_sweeper.settings.model import Backend, JobSettings, Settings, VertexSettings
from vertex_sweeper.settings.unread import Unread
from vertex_sweeper.settings.worker_pools import broken_machines

PATH = "hydra.sweeper"

RESERVED_METRICS = frozenset({"trial", "timestamp", "global_step", "checkpoint_path"})
"""Metric ids that would collide with cloudml-hypertune's own fields in the metric file."""

SWEEP_LABEL = "hydra-vertex-sweeper"
"""The label that tells one sweep's job from all others of the project."""

OWN_LABELS = MOST_LABELS - 1
"""How many labels a user may set: one is the sweep's own."""


def broken_rules(settings: JobSettings, unread: Unread) -> list[str]:
    """Rules on single values and between settings, that types cannot say.

    Nothing is concluded from a setting that could not be read; lines about such a setting itself are the caller's to drop.
    """
    mistakes = _broken_counts(settings)
    mistakes += _broken_metrics(settings.metrics) if isinstance(settings, Settings) else []
    if not settings.trial.allow_secrets and f"{PATH}.trial.allow_secrets" not in unread:
        mistakes += _exposed_credentials(settings)
    mistakes += _broken_labels(settings.labels)
    mistakes += _broken_stopping(settings) if isinstance(settings, Settings) else []
    if isinstance(settings, Settings) and not isinstance(settings.local.devices, DeviceSharing):
        mistakes += [f"{PATH}.local.devices: {mistake}" for mistake in broken_devices(settings.local.devices)]
    mistakes += broken_machines(settings.trial, unread)
    mistakes += _broken_code(settings, unread)
    if settings.trial.build and settings.trial.image is not None:
        mistakes += [f"{PATH}.trial.image: {mistake}" for mistake in broken_repository(settings.trial.image)]
    mistakes += _broken_prices(settings.prices)
    mistakes += _broken_names(settings.vertex)
    mistakes += _broken_modes(settings, unread)
    if settings.display_name is not None and not 1 <= len(settings.display_name) <= LONGEST_DISPLAY_NAME:
        mistakes.append(
            f"{PATH}.display_name: must have 1 to {LONGEST_DISPLAY_NAME} characters, and has {len(settings.display_name)}"
        )
    return mistakes


def _broken_counts(settings: JobSettings) -> list[str]:
    names = ("max_trial_count", "parallel_trial_count", "max_failed_trial_count", "parallel")
    counts: dict[str, int | None] = {name: getattr(settings, name, None) for name in names}
    counts |= {"trial.timeout": settings.trial.timeout, "trial.keep_alive": settings.trial.keep_alive}
    stopping = settings.study_stopping_config if isinstance(settings, Settings) else None
    if stopping is not None:
        counts |= {
            f"study_stopping_config.{key}": getattr(stopping, key)
            for key in stopping.__dataclass_fields__
            if key != "should_stop_asap"
        }
    return [
        f"{PATH}.{key}: {as_written(count)} must be 1 or more"
        for key, count in counts.items()
        if count is not None and count < 1
    ]


def _broken_metrics(metrics: Mapping[str, Goal]) -> list[str]:
    path = f"{PATH}.metrics"
    mistakes = [] if metrics else [f"{path}: must name at least one metric: {{val_acc: maximize}}"]
    for id in metrics:
        if not id or re.search(r"\s", id):
            mistakes.append(f"{path}: {id!r} must not be empty or contain white space: rename the metric")
        elif id in RESERVED_METRICS:
            mistakes.append(f"{path}: {id!r} is a field of the metric file itself: rename the metric")
    return mistakes


def _broken_modes(settings: JobSettings, unread: Unread) -> list[str]:
    attach = settings.attach if isinstance(settings, Settings) else None
    leaves = settings.backend is Backend.LOCAL and not settings.wait
    creates = attach is None and f"{PATH}.attach" not in unread
    rules = {
        f"{PATH}.wait: false must not be used with backend=local: trials end with this process": leaves and creates,
        f"{PATH}.attach: must not be empty: name a sweep directory or a job": attach == "",
        f"{PATH}.attach: {attach!r} must not be used with dry_run: there is nothing to check": attach and settings.dry_run,
    }
    return [line for line, broken in rules.items() if broken]


def _broken_code(settings: JobSettings, unread: Unread) -> Iterator[str]:
    """The mistakes in `trial.code` and what belongs to it."""
    trial, vertex = settings.trial, settings.vertex
    if f"{PATH}.trial.code" in unread:
        return
    if trial.code is None:
        for key in ("wheels",) if trial.build else ("requirements", "wheels"):
            if getattr(trial, key) is not None:
                yield f"{PATH}.trial.{key}: works with trial.code only: set trial.code=., or install it into the image"
        return
    if trial.build:
        yield f"{PATH}.trial.build: must not be used with trial.code: the image that is built has the code, so leave one out"
    if not trial.code.strip():
        yield f"{PATH}.trial.code: must not be empty: name the folder that has the app, as in `.`"
    wheels = trial.wheels
    if wheels is not None and (not wheels or PurePosixPath(wheels).is_absolute() or wheels == "gs://"):
        yield f"{PATH}.trial.wheels: {wheels!r} must be a gs:// folder, or a folder of the tree"
    named = any(f"{PATH}.{key}" in unread for key in ("backend", "vertex.staging", "vertex.base_output_directory"))
    if settings.backend is Backend.VERTEX and not named and not (vertex.staging or vertex.base_output_directory):
        rule = f"{PATH}.vertex.staging: must be set for trial.code, and vertex.base_output_directory is not set either"
        yield f"{rule}: name a folder in a bucket of the job's region, gs://<bucket>/<folder>"


def _broken_prices(prices: Mapping[str, float]) -> Iterator[str]:
    for kind, price in prices.items():
        if not 0 <= price < math.inf:
            yield f"{PATH}.prices.{kind}: {price} must be 0 or more: what an hour costs"


def _exposed_credentials(settings: JobSettings) -> list[str]:
    """What looks like a credential in names and labels; containers and `spec_overrides` are looked at where they are built."""
    texts = [(f"{PATH}.display_name", settings.display_name or "")]
    texts += [(f"{PATH}.metrics", id) for id in (settings.metrics if isinstance(settings, Settings) else ())]
    texts += [(f"{PATH}.labels", key) for key in settings.labels]
    texts += [(f"{PATH}.vertex.{key}", str(value or "")) for key, value in asdict(settings.vertex).items()]
    return [*credentials_in(settings.labels, where=f"{PATH}.labels"), *credentials_among(texts)]


def _broken_labels(labels: Mapping[str, str]) -> list[str]:
    path = f"{PATH}.labels"
    mistakes = [f"{path}: {len(labels)} labels, and at most {OWN_LABELS} are possible"] if len(labels) > OWN_LABELS else []
    if SWEEP_LABEL in labels:
        mistakes.append(f"{path}.{SWEEP_LABEL}: is written by the sweep itself: leave it out")
    return mistakes + [f"{path}.{key}: {broken}" for key, value in labels.items() for broken in broken_label_rules(key, value)]


def _broken_stopping(settings: Settings) -> list[str]:
    stopping = settings.study_stopping_config
    if stopping is None:
        return []
    path = f"{PATH}.study_stopping_config"
    conditions = {key: getattr(stopping, key) for key in stopping.__dataclass_fields__ if key != "should_stop_asap"}
    if all(value is None for value in conditions.values()):
        return [f"{path}: needs a condition, such as max_num_trials_no_progress: 10"]
    # The API's reference: these two work in studies of one metric only.
    return [
        f"{path}.{key}: works with one metric only, and this sweep has {len(settings.metrics)}: leave it out"
        for key in ("max_num_trials_no_progress", "max_duration_no_progress")
        if conditions[key] is not None and len(settings.metrics) > 1
    ]


_NAMES = {
    "project": (PROJECT, "a project's id or number, not its display name"),
    "location": (LOCATION, "a region, such as europe-west4"),
    "network": (r"projects/\d+/global/networks/[^/\s]+", "projects/<project number>/global/networks/<name>"),
    "kms_key_name": (
        r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+",
        "projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>",
    ),
    "tensorboard": (
        r"projects/[^/\s]+/locations/[^/\s]+/tensorboards/[^/\s]+",
        "projects/<project>/locations/<location>/tensorboards/<id>",
    ),
    "service_account": (r"[^@\s]+@[^@\s]+", "an address, <name>@<project>.iam.gserviceaccount.com"),
    "impersonate_service_account": (ACCOUNT, "an address, <name>@<project>.iam.gserviceaccount.com"),
    "base_output_directory": (r"gs://[^/\s]+\S*", "a folder in a bucket, gs://<bucket>/<folder>"),
    "staging": (r"gs://[^/\s]+\S*", "a folder in a bucket, gs://<bucket>/<folder>"),
}
"""How the API writes the names of other things."""


def _broken_names(vertex: VertexSettings) -> list[str]:
    path = f"{PATH}.vertex"
    given = {key: getattr(vertex, key) for key in _NAMES}
    mistakes = [
        f"{path}.{key}: {value!r} must read {_NAMES[key][1]}"
        for key, value in given.items()
        if value is not None and not re.fullmatch(_NAMES[key][0], value)
    ]
    if vertex.endpoint is not None:
        try:
            Endpoint.parse(vertex.endpoint)
        except InvalidSweep as error:
            mistakes.append(f"{path}.{error}")
    if vertex.location is not None and re.fullmatch(r"[a-z]+-[a-z]+\d+-[a-z]", vertex.location):
        mistakes.append(f"{path}.location: {vertex.location!r} is a zone, and must be a region: {vertex.location[:-2]}")
    if mistakes:
        return mistakes
    if vertex.kms_key_name is not None and vertex.location is not None:
        region = vertex.kms_key_name.split("/")[3]
        if region != vertex.location:
            mistakes.append(f"{path}.kms_key_name: is in {region}, and must be where the job is, in {vertex.location}")
    if given["tensorboard"]:
        mistakes += [
            f"{path}.{needed}: must be set when vertex.tensorboard is: {why}"
            for needed, why in (
                ("service_account", "it uploads what the trials log"),
                ("base_output_directory", "the trials log there"),
            )
            if given[needed] is None
        ]
    return mistakes


def missing_for_vertex(settings: JobSettings) -> list[str]:
    """What backend vertex needs and is not set."""
    needed = {
        "vertex.project": (settings.vertex.project, "the project that pays"),
        "vertex.location": (settings.vertex.location, "a region such as europe-west4"),
        "trial.image": (settings.trial.image, "the training image, with hydra-vertex-sweeper installed"),
    }
    return [
        f"{PATH}.{key}: must be set for backend=vertex ({what}); to try on this machine: hydra.sweeper.backend=local"
        for key, (value, what) in needed.items()
        if not value
    ]
