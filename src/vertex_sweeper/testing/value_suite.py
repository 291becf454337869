"""What every service does with values: which ones a trial gets, how they are passed, which measurement is final."""

from __future__ import annotations

import pytest

from vertex_sweeper.testing.gate import ACC, PARENT, Gate, WatchedService, X, run_gated, wait_for_end

INTEGER = {"parameterId": "n", "integerValueSpec": {"minValue": "1", "maxValue": "2"}}

DISCRETE = {"parameterId": "batch", "discreteValueSpec": {"values": [16, 32]}}

LABEL = {"parameterId": "label", "categoricalValueSpec": {"values": ["1e5", "01"]}}

CONDITIONAL = {
    "parameterId": "model",
    "categoricalValueSpec": {"values": ["a", "b"]},
    "conditionalParameterSpecs": [
        {"parentCategoricalValues": {"values": ["a"]}, "parameterSpec": DISCRETE},
        {"parentCategoricalValues": {"values": ["b"]}, "parameterSpec": INTEGER},
    ],
}


class ValueSuite:
    """Tests of parameters and measurements; see `ServiceSuite`."""

    def test_a_grid_runs_each_point_once_and_then_the_job_ends(self, service: WatchedService, gate: Gate) -> None:
        job = gate.job(parameters=[INTEGER, DISCRETE], most=50, algorithm="GRID_SEARCH")
        ended = run_gated(service, gate, job, *["report(acc=0.5); sys.exit(0)"] * 4)
        points = [tuple(entry["value"] for entry in trial["parameters"]) for trial in ended["trials"]]
        assert points == [(1.0, 16.0), (1.0, 32.0), (2.0, 16.0), (2.0, 32.0)]
        assert ended["state"] == "JOB_STATE_SUCCEEDED"

    def test_a_grid_ends_early_when_trials_run_out(self, service: WatchedService, gate: Gate) -> None:
        job = gate.job(parameters=[INTEGER, DISCRETE], most=3, algorithm="GRID_SEARCH")
        assert len(run_gated(service, gate, job, *["report(acc=0.5); sys.exit(0)"] * 3)["trials"]) == 3

    @pytest.mark.parametrize("algorithm", ["GRID_SEARCH", "RANDOM_SEARCH", "ALGORITHM_UNSPECIFIED"])
    def test_only_children_of_the_chosen_value_are_passed(self, service: WatchedService, gate: Gate, algorithm: str) -> None:
        name = service.create(PARENT, gate.job(parameters=[CONDITIONAL], most=4, algorithm=algorithm))["name"]
        seen = []
        for _ in range(4):
            visitor = gate.next()
            seen.append(visitor.values())
            visitor.finish(acc=0.5)
        job = wait_for_end(service, name)
        for values, trial in zip(seen, job["trials"], strict=True):
            assert values.keys() == ({"model", "batch"} if values["model"] == "a" else {"model", "n"})
            assert values.keys() == {entry["parameterId"] for entry in trial["parameters"]}

    def test_every_metric_of_the_study_is_needed(self, service: WatchedService, gate: Gate) -> None:
        job = gate.job(metrics=[ACC, {"metricId": "loss", "goal": "MINIMIZE"}], most=2)
        both = "report(1, acc=0.5, loss=2.0); sys.exit(0)"
        ended = run_gated(service, gate, job, "report(1, acc=0.5); sys.exit(0)", both)
        assert "no finite value of loss" in ended["trials"][0]["infeasibleReason"]
        assert {metric["metricId"] for metric in ended["trials"][1]["finalMeasurement"]["metrics"]} == {"acc", "loss"}

    @pytest.mark.parametrize(
        ("selection", "goal", "value"),
        [
            pytest.param("LAST_MEASUREMENT", "MAXIMIZE", 0.7, id="last"),
            pytest.param("BEST_MEASUREMENT", "MAXIMIZE", 0.9, id="best of a maximised metric"),
            pytest.param("BEST_MEASUREMENT", "MINIMIZE", 0.2, id="best of a minimised metric"),
        ],
    )
    def test_the_selection_decides_which_measurement_is_final(
        self, service: WatchedService, gate: Gate, selection: str, goal: str, value: float
    ) -> None:
        job = gate.job(metrics=[{"metricId": "acc", "goal": goal}], measurementSelectionType=selection)
        reports = "report(1, acc=0.2); report(2, acc=0.9); report(3, acc=0.7); sys.exit(0)"
        (trial,) = run_gated(service, gate, job, reports)["trials"]
        assert trial["finalMeasurement"]["metrics"] == [{"metricId": "acc", "value": value}]
        assert len(trial["measurements"]) == 3

    def test_a_trial_gets_the_containers_arguments_and_a_flag_for_each_parameter(
        self, service: WatchedService, gate: Gate
    ) -> None:
        job = gate.job(parameters=[INTEGER, DISCRETE], args=["a=1", "b=x y"], algorithm="GRID_SEARCH")
        service.create(PARENT, job)
        assert gate.next().argv == ["a=1", "b=x y", "--n=1", "--batch=16.0"]

    def test_numbers_come_back_as_floats_and_a_double_is_to_the_last_bit_what_the_trial_got(
        self, service: WatchedService, gate: Gate
    ) -> None:
        job = gate.job(parameters=[X, INTEGER, DISCRETE, LABEL], most=3, algorithm="RANDOM_SEARCH")
        name = service.create(PARENT, job)["name"]
        seen = []
        for _ in range(3):
            visitor = gate.next()
            seen.append(visitor.values())
            visitor.finish(acc=0.1 + 0.2)
        ended = wait_for_end(service, name)
        for flags, trial in zip(seen, ended["trials"], strict=True):
            values = {entry["parameterId"]: entry["value"] for entry in trial["parameters"]}
            assert values["label"] == flags.pop("label")
            assert {id: float(text) for id, text in flags.items()} == {id: values[id] for id in flags}
            assert all(type(values[id]) is float for id in flags)
            assert trial["finalMeasurement"]["metrics"] == [{"metricId": "acc", "value": 0.1 + 0.2}]
