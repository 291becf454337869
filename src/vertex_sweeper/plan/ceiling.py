"""The most a job can cost: every trial to its timeout, in machine-hours, and in money at the user's own prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from vertex_sweeper.job.needs import JobNeeds

_HOUR: Final = 3600


def ceiling_lines(needs: JobNeeds, prices: Mapping[str, float], *, noun: str = "trial") -> list[str]:
    """The ceiling in lines for a screen.

    Args:
        needs: The job's trials, machines and timeout.
        prices: What one hour of a machine type, or of one accelerator, costs. The currency is the user's.
        noun: What there are so many of.
    """
    hours = _hours(needs)
    kinds = ", ".join(f"{_counted(count, 'hour')} of {kind}" for kind, count in hours.items())
    each = f"{_counted(needs.trials, noun)} of up to {_counted(needs.timeout / _HOUR, 'hour')}"
    lines = [f"at most {kinds or 'nothing'}: {each}"]
    if not needs.timeout_set:
        lines.append(
            f"hydra.sweeper.trial.timeout is left out, so these are Vertex's 7 days for each {noun}: a timeout lowers it"
        )
    if needs.persistent:
        lines.append("the machines are a persistent resource's, which is paid for as long as it exists")
    return lines + _money(hours, prices)


def _hours(needs: JobNeeds) -> dict[str, float]:
    """Hours of each machine type and each accelerator, all trials together."""
    hours: Counter[str] = Counter()
    for pool in needs.machines:
        machine_seconds = needs.trials * needs.timeout * pool.replicas
        hours[pool.machine_type] += machine_seconds
        if pool.accelerator_type:
            hours[pool.accelerator_type] += machine_seconds * pool.accelerators
    return {kind: seconds / _HOUR for kind, seconds in hours.items()}


def _money(hours: Mapping[str, float], prices: Mapping[str, float]) -> list[str]:
    priced = {kind: price for kind, price in prices.items() if kind in hours}
    missing = [kind for kind in hours if kind not in prices]
    if not priced:
        return (
            [f"hydra.sweeper.prices says what that is in money: {{{', '.join(f'{kind}: …' for kind in hours)}}}"]
            if hours
            else []
        )
    amount = sum(hours[kind] * price for kind, price in priced.items())
    rest = f", and without {' and '.join(missing)}, which hydra.sweeper.prices does not have" if missing else ""
    return [f"at most {amount:,.2f} at your prices, without disks, storage and traffic{rest}"]


def _counted(value: float, noun: str) -> str:
    return f"{f'{value:,.2f}'.rstrip('0').rstrip('.')} {noun}{'' if value == 1 else 's'}"
