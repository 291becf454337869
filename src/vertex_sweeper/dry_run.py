"""What a sweep would create, shown instead of created: the job, and what a few of its trials would be given."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from vertex_sweeper.composition import samples
from vertex_sweeper.local.nodes import Choice
from vertex_sweeper.local.rendering import PLAIN
from vertex_sweeper.plan import Plan
from vertex_sweeper_runtime.contract import ServiceValue

SHOWN: Final = 3


def dry_run_text(plan: Plan) -> str:
    """The job in the API's JSON form, and for some trials the container's arguments and the overrides that Hydra will see."""
    job = json.dumps(plan.job, indent=2, ensure_ascii=False)
    return "\n".join([job, "", *_trial_lines(plan), "Nothing was created, and nothing was written.", ""])


def _trial_lines(plan: Plan) -> Iterator[str]:
    for number, sample in enumerate(islice(samples(plan.contract), SHOWN), start=1):
        yield f"A trial such as {number} of {plan.job['maxTrialCount']}"
        yield f"  container:  {shlex.join(_container_argv(plan, sample))}"
        yield f"  overrides:  {shlex.join(plan.contract.overrides(sample))}"


def _container_argv(plan: Plan, sample: Mapping[str, ServiceValue]) -> list[str]:
    """One token a parameter behind the fixed arguments: what has been seen of Vertex, though it promises less."""
    container = plan.job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    choices = [Choice(plan.contract.parameter(id), value) for id, value in sample.items()]
    return [*container["command"], *PLAIN.render(choices, container.get("args", ()))]
