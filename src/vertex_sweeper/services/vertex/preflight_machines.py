"""Whether machines and accelerators go together, are offered in the region, and are within the project's quota."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from vertex_sweeper.finding import Finding, failed, ok, unchecked
from vertex_sweeper.job.needs import JobNeeds, Machines
from vertex_sweeper.services.vertex.cloud_api import CloudApi, CloudError, unasked

_SERVICE: Final = "aiplatform.googleapis.com"
_N1_GPUS: Final = ("NVIDIA_TESLA_K80", "NVIDIA_TESLA_P100", "NVIDIA_TESLA_V100", "NVIDIA_TESLA_P4", "NVIDIA_TESLA_T4")

_FAMILIES: Final = {
    "n1-": _N1_GPUS,
    "a2-highgpu-": ("NVIDIA_TESLA_A100",),
    "a2-megagpu-": ("NVIDIA_TESLA_A100",),
    "a2-ultragpu-": ("NVIDIA_A100_80GB",),
    "a3-highgpu-": ("NVIDIA_H100_80GB",),
    "a3-edgegpu-": ("NVIDIA_H100_80GB",),
    "a3-megagpu-": ("NVIDIA_H100_MEGA_80GB",),
    "a3-ultragpu-": ("NVIDIA_H200_141GB",),
    "a4-highgpu-": ("NVIDIA_B200",),
    "g2-standard-": ("NVIDIA_L4",),
    "e2-": (),
    "n2-": (),
    "n2d-": (),
    "c2-": (),
    "c2d-": (),
    "c3-": (),
    "m1-": (),
}
"""By how a machine type begins: the accelerators that it can have. A type that is not here may have any."""

_QUOTAS: Final = {
    "NVIDIA_TESLA_K80": "nvidia_k80_gpus",
    "NVIDIA_TESLA_P4": "nvidia_p4_gpus",
    "NVIDIA_TESLA_P100": "nvidia_p100_gpus",
    "NVIDIA_TESLA_V100": "nvidia_v100_gpus",
    "NVIDIA_TESLA_T4": "nvidia_t4_gpus",
    "NVIDIA_L4": "nvidia_l4_gpus",
    "NVIDIA_TESLA_A100": "nvidia_a100_gpus",
    "NVIDIA_A100_80GB": "nvidia_a100_80gb_gpus",
    "NVIDIA_H100_80GB": "nvidia_h100_gpus",
    "NVIDIA_H100_MEGA_80GB": "nvidia_h100_mega_gpus",
}
"""The accelerators' quotas, as they are called behind `custom_model_training_`."""


def check_machines(api: CloudApi, project: str, location: str, needs: JobNeeds) -> Iterator[Finding]:
    """Looks at the machines of a job, pool by pool, then at the quotas of all that run at once.

    Args:
        api: Google's APIs.
        project: The job's project.
        location: The job's region.
        needs: What the job asks for.
    """
    for pool in dict.fromkeys((each.machine_type, each.accelerator_type, each.accelerators) for each in needs.machines):
        yield _together(Machines(pool[0], 1, pool[1], pool[2]))
    for kind in dict.fromkeys(each.accelerator_type for each in needs.machines if each.accelerator_type):
        yield _offered(api, project, location, kind)
    if needs.persistent:
        yield ok("quota", "the machines are a persistent resource's")
        return
    for metric, count in _wanted(needs).items():
        yield _quota(api, project, location, metric, count)


def _together(pool: Machines) -> Finding:
    subject, kind = "machine", pool.accelerator_type
    family = next((beginning for beginning in _FAMILIES if pool.machine_type.startswith(beginning)), None)
    command = "gcloud compute machine-types list"
    if family is None:
        return unchecked(subject, f"{pool.machine_type} is of no family that is known here", command)
    own = re.fullmatch(r".+-([0-9]+)g", pool.machine_type)
    text = f"{pool.machine_type}{f' with {pool.accelerators} {kind}' if kind else ''}"
    if kind is None and own:
        return failed(
            subject,
            f"{pool.machine_type} has accelerators, and accelerator_type does not say which",
            f"hydra.sweeper.trial.accelerator_type={_FAMILIES[family][0]}",
        )
    if kind is not None and kind not in _FAMILIES[family]:
        fitting = [beginning for beginning, kinds in _FAMILIES.items() if kind in kinds]
        remedy = f"{kind} goes with {' or '.join(f'{each}…' for each in fitting)}" if fitting else "choose another machine type"
        return failed(subject, f"{pool.machine_type} cannot have {kind}", remedy)
    if own and int(own[1]) != pool.accelerators:
        return failed(
            subject,
            f"{pool.machine_type} has {own[1]} accelerators, and accelerator_count is {pool.accelerators}",
            f"hydra.sweeper.trial.accelerator_count={own[1]}",
        )
    return ok(subject, text)


def _offered(api: CloudApi, project: str, location: str, kind: str) -> Finding:
    """Whether Compute Engine has such accelerators in a zone of the region; where it has none, Vertex has none either."""
    subject, name = "accelerator", kind.lower().replace("_", "-")
    query = {"filter": f"name={name}", "returnPartialSuccess": "true"}
    try:
        answer = api.get("compute", f"compute/v1/projects/{project}/aggregated/acceleratorTypes", query=query)
    except CloudError as error:
        return unasked(subject, f"whether {location} offers {kind}", error)
    zones = [zone.removeprefix("zones/") for zone, found in answer.get("items", {}).items() if found.get("acceleratorTypes")]
    if any(zone.startswith(f"{location}-") for zone in zones):
        return ok(subject, f"{kind} is offered in {location}")
    if not zones:
        return unchecked(subject, f"whether {location} offers {kind}: Compute Engine knows no {name}")
    regions = sorted({zone.rpartition("-")[0] for zone in zones})
    return failed(
        subject,
        f"{kind} is not offered in {location}, but in {', '.join(regions)}",
        f"gcloud compute accelerator-types list --filter=name={name}",
    )


def _wanted(needs: JobNeeds) -> dict[str, int | None]:
    """By quota: how much of it is in use while as many trials run as may; None where that is not known."""
    spot = "preemptible_" if needs.spot else ""
    wanted: Counter[str] = Counter()
    unknown: dict[str, int | None] = {}
    for pool in needs.machines:
        replicas = needs.parallel * pool.replicas
        cpus = re.fullmatch(r"(?:n1|e2)-[a-z]+-([0-9]+)", pool.machine_type)
        if cpus:
            wanted[f"custom_model_training_{spot}cpus"] += replicas * int(cpus[1])
        elif not pool.accelerator_type:
            unknown[pool.machine_type] = None
        if pool.accelerator_type in _QUOTAS:
            wanted[f"custom_model_training_{spot}{_QUOTAS[pool.accelerator_type]}"] += replicas * pool.accelerators
        elif pool.accelerator_type:
            unknown[pool.accelerator_type] = None
    return {**wanted, **unknown}


def _quota(api: CloudApi, project: str, location: str, metric: str, count: int | None) -> Finding:
    page = f"https://console.cloud.google.com/iam-admin/quotas?project={project}"
    if count is None:
        return unchecked("quota", f"which quota {metric} counts for is not known here", page)
    name = quote(f"{_SERVICE}/{metric}", safe="")
    try:
        found = api.get("serviceusage", f"v1beta1/projects/{project}/services/{_SERVICE}/consumerQuotaMetrics/{name}")
    except CloudError as error:
        return unasked("quota", f"{metric} in {location}", error)
    limit = _limit(found, location)
    if limit is None:
        return unchecked("quota", f"{metric} in {location}: the answer names no limit", page)
    if limit < 0 or limit >= count:
        return ok("quota", f"{metric} in {location}: {count} at a time, of {'any number' if limit < 0 else limit}")
    remedy = f"lower hydra.sweeper.parallel_trial_count, or ask for more: {page}"
    return failed(
        "quota",
        f"{metric} in {location} is {limit}, and {count} are wanted at a time",
        remedy,
    )


def _limit(found: dict[str, Any], location: str) -> int | None:
    """The limit in a region: its own, or the one for all regions. -1 is none."""
    buckets = [bucket for limit in found.get("consumerQuotaLimits") or () for bucket in limit.get("quotaBuckets") or ()]
    own = [bucket for bucket in buckets if (bucket.get("dimensions") or {}).get("region") == location]
    general = [bucket for bucket in buckets if not bucket.get("dimensions")]
    limits = [int(bucket["effectiveLimit"]) for bucket in own or general if "effectiveLimit" in bucket]
    return min(limits) if limits else None
