"""Jobs whose trials need nobody: they report and end, or go on until they are ended."""

from __future__ import annotations

from typing import Any, Final

from vertex_sweeper.services.local import LocalService
from vertex_sweeper.testing.gate import PARENT, make_job, wait_for_end

REPORT: Final = """echo '{"acc": "0.5", "global_step": "1"}' > "$CLOUD_ML_HP_METRIC_FILE" """

QUICK: Final = ("sh", "-c", REPORT)
ENDLESS: Final = ("sh", "-c", "exec sleep 1000")


def to_request(job: dict[str, Any]) -> Any:
    """The job as the client's message."""
    from vertex_sweeper.services.vertex.message import to_message

    return to_message(job)


def run_job(client: Any, behind: LocalService, *, parent: str = PARENT, **fields: Any) -> str:
    """Creates a job of one quick trial with these fields, waits for its end, returns its name."""
    job = {**make_job(command=QUICK), **fields}
    name: str = client.create_hyperparameter_tuning_job(parent=parent, hyperparameter_tuning_job=to_request(job)).name
    wait_for_end(behind, name)
    return name
