"""The shim's own Hydra overrides: one run, numbered and placed as its trial or launched job, with our callback in it."""

from typing import Final

from vertex_sweeper_runtime.quoting import literal
from vertex_sweeper_runtime.trial_environment import TrialContainer

CALLBACK: Final = "vertex_sweeper_runtime.metric_callback.ReportMetrics"

_MOST_DIGITS: Final = 18


def hydra_overrides(container: TrialContainer) -> list[str]:
    """What the shim adds to the overrides of a trial or launched job, after all of the user's.

    What is not known of the container is not set: the app's own defaults hold.

    All replicas of a trial see the same bucket under /gcs, where the last one to close a file replaces everybody else's. So
    any but the primary has a folder of its own inside the trial's. The processes of one replica share one folder, as they do
    where Hydra's app is started by a launcher without us: what Hydra itself writes there is the same for all, or appended.
    """
    overrides = identity(container)
    if len(overrides) > 1 and container.sweep_directory is not None:
        own_folder = f"/{container.own_folder}" if container.own_folder else ""
        overrides.append(f"hydra.run.dir=${{hydra.sweep.dir}}/${{hydra.sweep.subdir}}{own_folder}")
    return overrides + _injection()


def identity(container: TrialContainer) -> list[str]:
    """Which trial of which sweep or which launched job it is; with these and the user's overrides, any run has its config.

    `hydra.mode` is set because an app's config may say MULTIRUN, and a trial or launched job is one run.
    """
    overrides = ["hydra.mode=RUN"]
    number = str(container.number) if container.number is not None else container.trial
    if number is not None and number.isdecimal() and len(number) <= _MOST_DIGITS:
        overrides += [f"hydra.job.num={int(number)}", f"hydra.job.id={literal(job_id(container))}"]
        if container.sweep_directory is not None:
            overrides.append(f"hydra.sweep.dir={literal(container.sweep_directory)}")
    return overrides


def job_id(container: TrialContainer) -> str:
    """The `hydra.job.id` of a trial, or of a launched job: there the number as text, as Hydra's own launchers set it."""
    if container.number is not None:
        return str(container.number)
    return f"{container.job or 'trial'}_{int(container.trial or 0)}"


def _injection() -> list[str]:
    # The one place where the callback gets into an app. `+` and not `++`: nobody else's key has this name.
    return [f"+hydra.callbacks.vertex_sweeper._target_={CALLBACK}"]
