"""The settings as typed values, with their defaults and a sentence each.

`Settings` is what `hydra.sweeper` holds beside the search space, `LaunchSettings` what `hydra.launcher` holds. The tables in
`docs/settings.md` are made from these classes. Names are Vertex's, in snake case; times are in whole seconds or as in `90m`,
sizes in GB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

from vertex_sweeper.api import Goal
from vertex_sweeper.settings.devices import Devices, DeviceSharing
from vertex_sweeper.settings.durations import Seconds

SEARCH_SPACE_KEYS = ("params", "conditional", "search_space")
"""Keys of `hydra.sweeper` that are the search space and not settings."""

DEFAULT_TRIALS = 20
DEFAULT_PARALLEL = 2


ABOUT = "about"
"""The key of a setting's sentence among its field's metadata."""


def setting(about: str, default: Any = None, *, factory: Callable[[], Any] | None = None) -> Any:
    """A field of a settings class, with its sentence."""
    if factory is not None:
        return field(default_factory=factory, metadata={ABOUT: about})
    return field(default=default, metadata={ABOUT: about})


class Backend(Enum):
    """Who runs the job."""

    VERTEX = "vertex"
    LOCAL = "local"


class SearchAlgorithm(Enum):
    """The study's search algorithm; `bayesian` is what the API calls unspecified."""

    BAYESIAN = "bayesian"
    RANDOM = "random"
    GRID = "grid"


class MeasurementSelection(Enum):
    """Which of a trial's measurements counts as its result."""

    LAST = "last"
    BEST = "best"


class OnInterrupt(Enum):
    """What Ctrl-C does to a job on Vertex; a local job is always cancelled. Where nobody is to be asked, ASK is DETACH."""

    ASK = "ask"
    DETACH = "detach"
    CANCEL = "cancel"


class OnRefusal(Enum):
    """What becomes of a launcher's jobs when the service refuses to create one of them."""

    CANCEL = "cancel"
    KEEP = "keep"


class DriftPolicy(Enum):
    """What a trial does whose config is not the one that was composed where the sweep was started."""

    WARN = "warn"
    ERROR = "error"
    OFF = "off"


class Strategy(Enum):
    """How Vertex provides a trial's machines."""

    STANDARD = "standard"
    SPOT = "spot"
    FLEX_START = "flex_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPoolSettings:
    """One of a trial's further worker pools. What it leaves open is as in the first pool."""

    replica_count: int = setting("How many machines the pool has.", 1)
    machine_type: str | None = setting("Its machine type; left open, machine and accelerators are the first pool's.")
    accelerator_type: str | None = setting("Its accelerator, beside a `machine_type` of its own.")
    accelerator_count: int | None = setting("How many of them each machine has; 1 when only the type is given.")
    disk_type: str | None = setting("Its boot disk's type.")
    disk_size_gb: int | None = setting("Its boot disk's size.")
    image: str | None = setting("Its image.")
    command: Sequence[str] | None = setting(
        "Its command; `[]` is the image's own entry point, without the shim and the trial's overrides."
    )
    env: Mapping[str, str] | None = setting("Its environment variables, instead of the first pool's.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSettings:
    """What runs, and on what: the containers and the machines of one trial."""

    command: Sequence[str] | None = setting("The words that start a trial; left open, how this sweep was started.")
    image: str | None = setting(
        "The training image, with hydra-vertex-sweeper installed or, with `code`, any that has Python 3.10 or newer. Needed on "
        "Vertex."
    )
    build: bool = setting(
        "Build the app's image before the sweep, tagged by the code's hash, and push it to `image`, which then has no tag. "
        "Nothing is built when that tag is there.",
        default=False,
    )
    code: str | None = setting(
        "The folder with the app, `.`, sent to the containers by way of a bucket: what git tracks or would add. Left open, the "
        "app is in the image."
    )
    requirements: str | Sequence[str] | None = setting(
        "What is installed with `code`, beside what the image has, and with `build` for an app without a Dockerfile: a "
        "requirements file in that folder, or its lines as a list."
    )
    wheels: str | None = setting(
        "With `code`, where the containers find wheels instead of an index: a `gs://` folder, or one inside `code`."
    )
    env: Mapping[str, str] = setting("Environment variables of the container. No secrets: see `allow_secrets`.", factory=dict)
    allow_secrets: bool = setting("Send what looks like a credential all the same.", default=False)
    machine_type: str = setting("The machine type.", "n1-standard-4")
    accelerator_type: str | None = setting("The accelerator, as in `NVIDIA_TESLA_T4`. Tuning jobs take no TPU.")
    accelerator_count: int | None = setting("How many of them each machine has; 1 when only the type is given.")
    disk_type: str | None = setting("The boot disk's type: `pd-ssd`, `pd-standard` or `hyperdisk-balanced`.")
    disk_size_gb: int | None = setting("The boot disk's size; Vertex's default is 100.")
    replica_count: int = setting("How many such machines a trial has: one primary, the others in the second worker pool.", 1)
    worker_pools: Sequence[WorkerPoolSettings | None] | None = setting(
        "Up to three further pools, for workers, parameter or reduction servers, and evaluators; `{}` leaves a place empty."
    )
    timeout: Seconds | None = setting("How long a trial may run; Vertex's default is 7 days.")
    strategy: Strategy = setting(
        "Machines on demand, spot machines, or a place in the queue for scarce GPUs.", Strategy.STANDARD
    )
    max_wait_duration: Seconds | None = setting(
        "How long a `flex_start` trial may queue; 0 is for ever, Vertex's default is 24 hours."
    )
    persistent_resource_id: str | None = setting("The persistent resource whose machines are used instead of new ones.")
    keep_alive: Seconds | None = setting("How long a failed container stays up for a look inside.")
    drift: DriftPolicy = setting(
        "What a trial does that composes another config than was composed here, as an older image may: "
        "`warn` in its log, stop with an `error`, or nothing (`off`).",
        DriftPolicy.WARN,
    )
    enable_web_access: bool = setting("Allow an interactive shell in the containers.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexSettings:
    """Where the job runs on Vertex, as whom, and where its output goes."""

    project: str | None = setting("The project that runs the job, and pays. Needed on Vertex.")
    location: str | None = setting("The region, as in `europe-west4`. Needed on Vertex.")
    endpoint: str | None = setting("Another host than the region's own; with `http://` in front, an emulator.")
    impersonate_service_account: str | None = setting("The service account to act as when the job is created and followed.")
    service_account: str | None = setting("The service account that the containers run as.")
    network: str | None = setting("The VPC network to peer with: `projects/<number>/global/networks/<name>`.")
    kms_key_name: str | None = setting("The customer-managed key (CMEK) that encrypts what the job stores.")
    base_output_directory: str | None = setting(
        "A `gs://` folder for what should outlive the containers, the trials' Hydra output included: each sweep has a folder "
        "of its own in it, `<display name>-<sweep id>`."
    )
    staging: str | None = setting(
        "The `gs://` folder to which `trial.code` is uploaded, once for each state of it; left open, `base_output_directory`."
    )
    tensorboard: str | None = setting("The TensorBoard instance that shows what trials log, by its full name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How trials run on this machine."""

    seed: int | None = setting("Gives the same suggestions again, for the same order of completions.")
    devices: DeviceSharing | Sequence[Devices] = setting(
        'The NVIDIA devices of each slot, as `CUDA_VISIBLE_DEVICES` names them: `[0, 1]`, or `["0,1", "2,3"]` for two '
        "each. `auto` is one device each of all that are here, and `none` lets every trial see all.",
        DeviceSharing.AUTO,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MedianStopping:
    """The rule that ends a trial whose best value so far is below the median of the others' running averages."""

    use_elapsed_duration: bool = setting("Compare trials at the same running time instead of the same step.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStopping:
    """When the study ends before its last trial; at least one condition."""

    should_stop_asap: bool = setting("End running trials too, with what they have measured.", default=False)
    minimum_runtime_constraint: Seconds | None = setting("Not before this time.")
    maximum_runtime_constraint: Seconds | None = setting("After this time.")
    min_num_trials: int | None = setting("Not before this many trials have completed (succeeded).")
    max_num_trials: int | None = setting("After this many trials.")
    max_num_trials_no_progress: int | None = setting("When so many trials in a row brought nothing better.")
    max_duration_no_progress: Seconds | None = setting("When nothing better came for this time.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """What a sweep and a launcher's job have in common: what runs, where, and how it is created and followed."""

    backend: Backend = setting("Who runs the job: `vertex`, or this machine.", Backend.VERTEX)
    display_name: str | None = setting(
        "The job's name; left open, that of the Hydra job and the git commit, with `-dirty` where files have changed."
    )
    labels: Mapping[str, str] = setting("Labels of the job, beside the one by which it is found again.", factory=dict)
    dry_run: bool = setting("Check everything, show what would be created, and create nothing.", default=False)
    wait: bool = setting("Follow the job to its end, instead of ending once it is created. Vertex only.", default=True)
    on_interrupt: OnInterrupt = setting(
        "What Ctrl-C does to a job on Vertex; `ask` detaches where there is no terminal. A job on this machine is cancelled, "
        "but with `detach` it waits for `attach`.",
        OnInterrupt.ASK,
    )
    spec_overrides: Mapping[str, Any] = setting(
        "Whatever else the API has, in its JSON form, merged last into the job.", factory=dict
    )
    prices: Mapping[str, float] = setting(
        "What an hour of a machine type or of one accelerator costs you, `{n1-standard-8: 0.38}`: a dry run then says what the "
        "job costs at most.",
        factory=dict,
    )
    trial: TrialSettings = setting("What runs, and on what.", factory=TrialSettings)
    vertex: VertexSettings = setting("Where it runs on Vertex.", factory=VertexSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(JobSettings):
    """All settings of a sweep but its search space. Counts that the user left open are None here."""

    metrics: Mapping[str, Goal] = setting(
        "What is optimised, `{id: maximize}` or `{id: minimize}`; the first decides which trial is best.",
        factory=lambda: {"objective": Goal.MINIMIZE},
    )
    max_trial_count: int | None = setting(
        "How many trials there are: 20 or, in a smaller search space, as many as it has points; with `algorithm: grid` as many "
        "as the grid has points. To be set for a grid of more than 1,000."
    )
    parallel_trial_count: int | None = setting(
        "How many run at a time: 2 or, where `local.devices` has some, as many as have devices; never more than there are."
    )
    max_failed_trial_count: int | None = setting(
        "After how many failures the job is given up: three more than run at a time, or when all have failed."
    )
    algorithm: SearchAlgorithm = setting("How the study searches.", SearchAlgorithm.BAYESIAN)
    measurement_selection: MeasurementSelection = setting(
        "Which of a trial's measurements is its result.", MeasurementSelection.LAST
    )
    median_automated_stopping_spec: MedianStopping | None = setting(
        "End a trial that falls behind the median of the others; `{}` switches it on. For apps that report while they train."
    )
    study_stopping_config: StudyStopping | None = setting("End the study early.")
    attach: str | None = setting("Go on with a job instead of creating one: a sweep directory, or a job's full name.")
    local: LocalSettings = setting("How it runs on this machine.", factory=LocalSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings(JobSettings):
    """All settings of the launcher, which runs each Hydra job as a custom job."""

    parallel: int | None = setting("How many jobs run at a time; left open, all at once.")
    allow_many: bool = setting("Launch more than 100 jobs at once without `parallel`.", default=False)
    on_refusal: OnRefusal = setting(
        "What becomes of the jobs that exist when the service refuses one: `cancel` them, or `keep` them.", OnRefusal.CANCEL
    )


def set_settings(settings: JobSettings) -> list[str]:
    """The paths of all settings that are not at their defaults."""
    return list(_differing(settings, type(settings)(), ""))


def _differing(given: Any, default: Any, path: str) -> Iterator[str]:
    for each in fields(given):
        one, other = getattr(given, each.name), getattr(default, each.name)
        if is_dataclass(one) and is_dataclass(other):
            yield from _differing(one, other, f"{path}{each.name}.")
        elif one != other:
            yield f"{path}{each.name}"
