"""The shim's own Hydra overrides: one run, numbered and placed as its trial, with our callback in it."""

from typing import Final

from vertex_sweeper_runtime.machine import Machine
from vertex_sweeper_runtime.quoting import literal

CALLBACK: Final = "vertex_sweeper_runtime.report.ReportMetrics"

_MOST_DIGITS: Final = 18


def hydra_overrides(machine: Machine) -> list[str]:
    """What the shim adds to a trial's overrides, after all of the user's.

    `hydra.mode` is set because an app's config may say MULTIRUN, and a trial is one run. What is not known of the machine is
    not set: the app's own defaults hold.

    All replicas of a trial see the same bucket under /gcs, where the last one to close a file replaces everybody else's. So
    any but the primary has a folder of its own inside the trial's. The processes of one replica share one folder, as they do
    where Hydra's app is started by a launcher without us: what Hydra itself writes there is the same for all, or appended.
    """
    overrides = ["hydra.mode=RUN"]
    if machine.trial is not None and machine.trial.isdecimal() and len(machine.trial) <= _MOST_DIGITS:
        number = int(machine.trial)
        name = f"{machine.job or 'trial'}_{number}"
        overrides += [f"hydra.job.num={number}", f"hydra.job.id={literal(name)}"]
        if machine.sweep_directory is not None:
            overrides += [
                f"hydra.sweep.dir={literal(machine.sweep_directory)}",
                "hydra.run.dir=${hydra.sweep.dir}/${hydra.sweep.subdir}"
                + (f"/{machine.own_folder}" if machine.own_folder else ""),
            ]
    return overrides + _injection()


def _injection() -> list[str]:
    # The one place where the callback gets into an app. `+` and not `++`: nobody else's key has this name.
    return [f"+hydra.callbacks.vertex_sweeper._target_={CALLBACK}"]
