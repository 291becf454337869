"""The median rule, over measurements."""

from __future__ import annotations

import pytest

from vertex_sweeper.services.local.study.early_stopping import MedianRule
from vertex_sweeper.services.local.study.measurement import Measurement

Curve = list[tuple[int, float]]


def measured(curve: Curve, **more: float) -> list[Measurement]:
    """Measurements of acc at steps; each took ten seconds more than the one before."""
    return [Measurement(step, {"acc": value, **more}, elapsed=10.0 * (place + 1)) for place, (step, value) in enumerate(curve)]


GOOD: Curve = [(1, 0.5), (2, 0.7), (3, 0.9)]
"""Its running averages are 0.5, 0.6 and 0.7."""


@pytest.mark.parametrize(
    ("pending", "completed", "stopped"),
    [
        pytest.param([(1, 0.1)], [], False, id="nobody to compare with"),
        pytest.param([], [GOOD], False, id="nothing measured yet"),
        pytest.param([(1, 0.4)], [GOOD], True, id="below"),
        pytest.param([(1, 0.5)], [GOOD], False, id="just as good: strictly below is what counts"),
        pytest.param([(2, 0.65)], [GOOD], False, id="above the average up to there, though below the value there"),
        pytest.param([(2, 0.55)], [GOOD], True, id="below the average up to there"),
        pytest.param([(3, 0.65)], [GOOD], True, id="the same value, later"),
        pytest.param([(1, 0.65), (2, 0.1)], [GOOD], False, id="its best counts, not its last"),
        pytest.param([(2, 0.1), (1, 0.1)], [[(2, 0.2)]], True, id="its furthest step is the point, in whatever order"),
        pytest.param([(1, 0.1)], [[(2, 0.9)], [(5, 0.9)]], False, id="none had reported up to there"),
        pytest.param([(1, 0.1)], [[(2, 0.9)], [(1, 0.05)]], False, id="only those count that had"),
        pytest.param([(1, 0.3)], [[(1, 0.1)], [(1, 0.2)], [(1, 0.9)]], False, id="the median is not the mean"),
        pytest.param([(1, 0.3)], [[(1, 0.2)], [(1, 0.5)]], True, id="an even number has its middle in between"),
        pytest.param([(1, 0.35)], [[(1, 0.2)], [(1, 0.5)]], False, id="and that is reached"),
        pytest.param([(9, 0.65)], [GOOD], True, id="further than all others: all of their values"),
        pytest.param([(0, 0.4)], [[(0, 0.4), (0, 0.6)]], True, id="without steps all is at step 0"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1], ids=["maximised", "minimised"])
def test_a_trial_is_stopped_when_its_best_is_worse_than_the_median_of_the_averages_up_to_its_step(
    *, pending: Curve, completed: list[Curve], stopped: bool, sign: int
) -> None:
    rule = MedianRule("acc", maximised=sign > 0)
    why = rule.judge(
        measured([(step, sign * value) for step, value in pending]),
        [measured([(step, sign * value) for step, value in curve]) for curve in completed],
    )
    assert bool(why) is stopped


@pytest.mark.parametrize(
    ("pending", "use_elapsed", "stopped"),
    [
        pytest.param([Measurement(1, {"acc": 0.55}, 20.0)], False, False, id="by step: up to the first value"),
        pytest.param([Measurement(1, {"acc": 0.55}, 20.0)], True, True, id="by time: up to the second"),
        pytest.param([Measurement(3, {"acc": 0.55}, 9.0)], True, False, id="before anybody had a value"),
        pytest.param([Measurement(3, {"acc": 0.1})], True, False, id="a measurement without a time"),
        pytest.param([Measurement(3, {"loss": 0.1}, 30.0)], False, False, id="the objective was not reported"),
    ],
)
def test_trials_are_compared_at_a_step_or_at_a_time(*, pending: list[Measurement], use_elapsed: bool, stopped: bool) -> None:
    rule = MedianRule("acc", maximised=True, use_elapsed=use_elapsed)
    assert bool(rule.judge(pending, [measured(GOOD)])) is stopped


def test_the_reason_names_the_numbers() -> None:
    rule = MedianRule("acc", maximised=True)
    why = rule.judge(measured([(1, 0.4), (2, 0.45)]), [measured(GOOD), measured(GOOD)])
    assert why == "its best acc so far is 0.45, the median of the completed trials' averages 0.6, at step 2"


@pytest.mark.parametrize(
    ("study", "rule"),
    [
        ({}, None),
        ({"decayCurveStoppingSpec": {}}, None),
        ({"medianAutomatedStoppingSpec": {}}, MedianRule("acc", maximised=True)),
        (
            {"medianAutomatedStoppingSpec": {"useElapsedDuration": True}},
            MedianRule("acc", maximised=True, use_elapsed=True),
        ),
    ],
    ids=["none", "a model of vertex", "by step", "by time"],
)
def test_the_rule_is_in_the_study_spec_and_the_first_metric_decides(study: dict[str, object], rule: MedianRule | None) -> None:
    assert MedianRule.of(study, {"acc": True, "loss": False}) == rule
