"""The shim's own Hydra overrides: one run, numbered and placed as its trial, with our callback in it."""

from typing import Final

from vertex_sweeper_runtime.machine import Machine
from vertex_sweeper_runtime.quoting import literal

CALLBACK: Final = "vertex_sweeper_runtime.report.ReportMetrics"


def hydra_overrides(machine: Machine) -> list[str]:
    """What the shim adds to a trial's overrides, after all of the user's.

    What is not known of the machine is not set: the app's own defaults hold.
    """
    overrides = identity(machine)
    if len(overrides) > 1 and machine.sweep_directory is not None:
        overrides.append("hydra.run.dir=${hydra.sweep.dir}/${hydra.sweep.subdir}")
    return overrides + _injection()


def identity(machine: Machine) -> list[str]:
    """Which trial of which sweep it is; with these and the user's overrides, a run anywhere has the trial's config.

    `hydra.mode` is set because an app's config may say MULTIRUN, and a trial is one run.
    """
    overrides = ["hydra.mode=RUN"]
    if machine.trial is not None and machine.trial.isdecimal():
        overrides += [f"hydra.job.num={int(machine.trial)}", f"hydra.job.id={literal(job_id(machine))}"]
        if machine.sweep_directory is not None:
            overrides.append(f"hydra.sweep.dir={literal(machine.sweep_directory)}")
    return overrides


def job_id(machine: Machine) -> str:
    """A trial's `hydra.job.id`."""
    return f"{machine.job or 'trial'}_{int(machine.trial or 0)}"


def _injection() -> list[str]:
    # The one place where the callback gets into an app. `+` and not `++`: nobody else's key has this name.
    return [f"+hydra.callbacks.vertex_sweeper._target_={CALLBACK}"]
