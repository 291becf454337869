"""What a sweep or a launch would create, shown instead of created: the job, and what a few of its trials would be given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from vertex_sweeper.api import container_job
from vertex_sweeper.job.flags import plain_flag
from vertex_sweeper.job.needs import JobNeeds, job_needs
from vertex_sweeper.messages import seen, shell_line
from vertex_sweeper.plan.ceiling import ceiling_lines
from vertex_sweeper.plan.composition import samples
from vertex_sweeper.plan.launch_plan import LaunchPlan
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper.settings import Backend, in_launcher_words
from vertex_sweeper_runtime.contract import ServiceValue

SHOWN: Final = 3


def dry_run_text(plan: Plan) -> str:
    """The job in the API's JSON form, and for some trials the container's arguments and the overrides that Hydra will see."""
    job = _json_text(plan.job)
    return "\n".join([job, "", *_trial_lines(plan), "Nothing was created, and nothing was written.", ""])


def launch_text(plan: LaunchPlan) -> str:
    """The first job in the API's JSON form, and of some jobs what their containers are given."""
    lines = [_json_text(plan.jobs[0].job), ""]
    for planned in plan.jobs[:SHOWN]:
        container = container_job(planned.job)["workerPoolSpecs"][0]["containerSpec"]
        lines.append(f"job {planned.number}, one of {len(plan.jobs)}")
        lines.append(f"  container:  {shell_line([*container['command'], *container.get('args', ())])}")
        lines.append(f"  overrides:  {shell_line(planned.overrides)}")
    if plan.address.backend is Backend.VERTEX:
        ceiling = ceiling_lines(_needs(plan), plan.settings.prices, noun="job")
        lines += map(in_launcher_words, ceiling)
    return "\n".join([*lines, "Nothing was created, and nothing was written.", ""])


def _needs(plan: LaunchPlan) -> JobNeeds:
    """What all jobs of the launch need together."""
    count = len(plan.jobs)
    return replace(job_needs(plan.jobs[0].job), trials=count, parallel=min(plan.settings.parallel or count, count))


def _json_text(job: Mapping[str, Any]) -> str:
    """The job as JSON that a terminal shows as it is: what it would not show is escaped, which is the same JSON."""
    text = json.dumps(job, indent=2, ensure_ascii=False)
    return "".join(letter if seen(letter) or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


def _trial_lines(plan: Plan) -> Iterator[str]:
    for number, sample in enumerate(islice(samples(plan.contract), SHOWN), start=1):
        yield f"A trial such as {number} of {plan.job['maxTrialCount']}"
        yield f"  container:  {shell_line(_container_argv(plan, sample))}"
        yield f"  overrides:  {shell_line(plan.contract.overrides(sample))}"


def _container_argv(plan: Plan, sample: Mapping[str, ServiceValue]) -> list[str]:
    """One token a parameter behind the fixed arguments: what has been seen of Vertex, though it promises less."""
    container = plan.job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    flags = [plain_flag(id, value, plan.contract.parameter(id).kind) for id, value in sample.items()]
    return [*container["command"], *container.get("args", ()), *flags]
