"""Where returned values count beside reported ones: the result is the same, however measurements are made of the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from tests.runtime.trials import sweep
from vertex_sweeper.services.local.execute.metric_file import MetricFile
from vertex_sweeper.services.local.study.measurement import Selection, select_final
from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.metric_callback import ReportMetrics

METRICS = {"acc": True, "loss": False, "size": False}
ACC = [0.1, 0.2, 0.95, 0.4, 0.5, 0.6, 0.9]
"""Its best is not its last."""
EPOCHS = len(ACC)
RETURNED = {"acc": 0.7, "loss": 0.25, "size": 30.0}
Line = tuple[Any, Mapping[str, Any]]


def per_epoch(metric: str = "acc", values: Sequence[Any] = ACC) -> list[Line]:
    return [(epoch, {metric: value}) for epoch, value in enumerate(values)]


def both(*, order: Sequence[str] = ("acc", "loss"), epochs: int = EPOCHS) -> list[Line]:
    return [(epoch, {metric: ACC[epoch]}) for epoch in range(epochs) for metric in order]


class Mix(NamedTuple):
    """What an app reports, with epochs for steps (None: without one); what it returns; what its result is."""

    lines: Sequence[Line]
    returned: Mapping[str, float]
    final: Mapping[str, float]


def result(**values: float) -> Mapping[str, float]:
    return {**RETURNED, **values}


MIXES = {
    "nothing reported": Mix([], RETURNED, RETURNED),
    "one per epoch, all returned": Mix(per_epoch(), RETURNED, result(acc=0.9)),
    "one per epoch, the others returned": Mix(per_epoch(), {"loss": 0.25, "size": 30.0}, result(acc=0.9)),
    "two per epoch, all returned": Mix(both(), RETURNED, result(acc=0.9, loss=0.9)),
    "two per epoch in another order": Mix(both(order=("loss", "acc")), {"size": 30.0}, result(acc=0.9, loss=0.9)),
    "one epoch": Mix(both(epochs=1), RETURNED, result(acc=0.1, loss=0.1)),
    "one once before the training, all returned": Mix([(0, {"loss": 9.0}), *per_epoch()], RETURNED, result(acc=0.9)),
    "one once before the training, not returned": Mix(
        [(0, {"loss": 9.0}), *per_epoch()], {"size": 30.0}, result(acc=0.9, loss=9.0)
    ),
    "one once after the training, without a step": Mix(
        [*per_epoch(), (None, {"loss": 9.0})], {"size": 30.0}, result(acc=0.9, loss=9.0)
    ),
    "one in every second epoch, all returned": Mix(
        [line for line in both(order=("loss", "acc"), epochs=EPOCHS - 1) if line[0] % 2 == 0 or "acc" in line[1]]
        + per_epoch()[-1:],
        RETURNED,
        result(acc=0.9),
    ),
    "one stops half way, not returned": Mix([*both(epochs=3), *per_epoch()[3:]], {"size": 30.0}, result(acc=0.9, loss=0.95)),
    "another metric per epoch": Mix(per_epoch("train_loss"), RETURNED, RETURNED),
    "another metric beside it": Mix([*per_epoch(), *per_epoch("train_loss")], RETURNED, result(acc=0.9)),
    "several in a line": Mix(
        [(epoch, {"acc": acc, "loss": acc}) for epoch, acc in enumerate(ACC)], RETURNED, result(acc=0.9, loss=0.9)
    ),
    "two folds, the second shorter": Mix([*per_epoch(), *per_epoch(values=ACC[:4])], RETURNED, result(acc=0.4)),
    "nan in the end": Mix(per_epoch(values=[*ACC, "nan", "inf"]), RETURNED, result(acc=0.9)),
    "nan only": Mix(per_epoch(values=["nan"] * EPOCHS), RETURNED, RETURNED),
    "text only": Mix(per_epoch(values=["good"] * EPOCHS), RETURNED, RETURNED),
}
STEPS: dict[str, Callable[[int], Any]] = {
    "from 0": str,
    "from 1": lambda epoch: str(epoch + 1),
    "none": lambda _: "0",
    "no field": lambda _: None,
    "numbers": lambda epoch: epoch,
    "floats": lambda epoch: epoch / 4,
    "floats as text": lambda epoch: f"{epoch}.5",
    "words": lambda epoch: f"epoch {epoch}",
    "every 100": lambda epoch: str(100 * epoch),
    "down to 0": lambda epoch: str(EPOCHS + 2 - epoch),
    "negative": lambda epoch: str(epoch - 10),
    "nanoseconds": lambda epoch: str(1_760_000_000_123_456_789 + epoch),
    "beyond the api": lambda epoch: str(10**30 + epoch),
    "beyond floats": lambda epoch: "9" * 4000 + str(epoch),
    "no numbers": lambda _: True,
}
COMMON = ("from 0", "from 1", "none", "floats", "words", "beyond the api")

# Three ways to make measurements of a file, with no code of ours in them; and our own.


def by_step(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """All lines of a step are one measurement, in the order of their last lines."""
    steps: dict[Any, dict[str, float]] = {}
    for line in lines:
        step = json.dumps(line.get("global_step", "0"))
        steps[step] = {**steps.pop(step, {}), **values_of(line)}
    return list(steps.values())


def last_of_each(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    return [{metric: value for line in lines for metric, value in values_of(line).items()}]


def line_by_line(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Lines that follow each other are one measurement, until a metric comes again."""
    found: list[dict[str, float]] = [{}]
    for line in lines:
        values = values_of(line)
        if values.keys() & found[-1].keys():
            found.append({})
        found[-1].update(values)
    return found


def values_of(line: Mapping[str, Any]) -> dict[str, float]:
    numbers = {metric: line[metric] for metric in METRICS if metric in line and str(line[metric]) not in ("nan", "inf", "good")}
    return {metric: float(number) for metric, number in numbers.items()}


def choose(measurements: Sequence[Mapping[str, float]], selection: Selection) -> Mapping[str, float]:
    complete = [one for one in measurements if one.keys() == METRICS.keys()]
    return complete[-1] if selection is Selection.LAST else max(complete, key=lambda one: one["acc"])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Mapping[str, Any]], Any], Path]:
    """Ends a task that has written these lines with this return value; gives the metric file."""
    path = tmp_path / "metrics"
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(path))
    monkeypatch.setenv(contract.VARIABLE, contract_document.encode(sweep("python", "train.py", metrics=tuple(METRICS))))

    def end(lines: Sequence[Mapping[str, Any]], returned: Any) -> Path:
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        task = JobReturn(status=JobStatus.COMPLETED)
        task.return_value = returned
        ReportMetrics().on_job_end(config=OmegaConf.create(), job_return=task)
        return path

    return end


def written(mix: Mix, step: Callable[[int], Any]) -> list[dict[str, Any]]:
    lines = []
    for epoch, values in mix.lines:
        number = "0" if epoch is None else step(epoch)
        lines.append({**({} if number is None else {"global_step": number}), **values})
    return lines


CASES = [
    pytest.param(mix, step, id=f"{mix}, steps {step}")
    for mix in MIXES
    for step in (STEPS if mix in ("one per epoch, all returned", "one once after the training, without a step") else COMMON)
]


@pytest.mark.parametrize(("mix", "step"), CASES)
def test_a_returned_value_counts_with_the_last_that_was_reported(
    run: Callable[[Sequence[Mapping[str, Any]], Any], Path], mix: str, step: str
) -> None:
    path = run(written(MIXES[mix], STEPS[step]), MIXES[mix].returned)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    ways = [by_step(lines), last_of_each(lines), line_by_line(lines)]
    ours = MetricFile(path, metrics=tuple(METRICS), begun=0.0, clock=lambda: 1.0).read()
    for selection in Selection:  # one metric is only returned, so that no earlier measurement can be the best, either
        final = select_final(ours, metrics=METRICS, selection=selection)
        assert final is not None
        assert [choose(measurements, selection) for measurements in ways] == [final.values] * 3 == [MIXES[mix].final] * 3


def test_where_every_step_has_an_old_value_there_is_a_new_step(run: Callable[[Sequence[Mapping[str, Any]], Any], Path]) -> None:
    lines = [{"global_step": step, metric: 9} for step, metric in [("1", "acc"), ("2", "loss"), ("2", "acc"), ("1", "loss")]]
    added = [json.loads(line) for line in run(lines, RETURNED).read_text().splitlines()[4:]]
    assert [(line["global_step"], values_of(line)) for line in added] == [("3", {key: RETURNED[key]}) for key in METRICS]


def test_what_the_app_has_reported_at_the_last_step_is_left_alone(
    run: Callable[[Sequence[Mapping[str, Any]], Any], Path],
) -> None:
    lines = [{"global_step": "1", "acc": "0.5", "loss": "1", "size": "1"}]
    path = run(lines, RETURNED)
    assert [json.loads(line) for line in path.read_text().splitlines()] == lines


def test_a_line_is_as_hypertune_writes_it_but_for_its_step(run: Callable[[Sequence[Mapping[str, Any]], Any], Path]) -> None:
    path = run([{"global_step": 7, "acc": 1}], {"loss": 0.5, "size": 2})
    added = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert [set(line) for line in added] == [
        {"timestamp", "trial", metric, "global_step", "checkpoint_path"} for metric in ("loss", "size")
    ]
    assert [(line["global_step"], line.get("loss"), line.get("size")) for line in added] == [(7, "0.5", None), (7, None, "2.0")]
