"""The config in a trial is the one that Hydra composes for the same values: over drawn sweeps and hostile renderings.

Some 1,800 overrides are compared in text, type and value; 30 configs of some 25 overrides each are composed both ways.
`make fuzz` does the same over 200,000 and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.fidelity.drawn import CONFIGS, KEYS, Drawing
from tests.fidelity.oracle import SHIMS_OWN, check_elements_keep_their_values, composed, differences, draw_trial, planned
from tests.support import App, app_in

PARSED, COMPOSED, PARTS = 60, 15, 2  # parts, so that the workers of one run share them
# No shrinking: it takes minutes over compositions, and `make fuzz` finds the smallest sweep that still fails.
DRAWN = {"suppress_health_check": list(HealthCheck), "phases": [Phase.generate]}

dice = st.randoms(use_true_random=False)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("drawn \u00e4 sweeps"), CONFIGS) as app:
        yield app


@given(dice=dice)
@settings(max_examples=PARSED, **DRAWN)  # type: ignore[arg-type]  # a table of keyword arguments
def test_every_override_survives_every_rendering_in_text_type_and_value(app: App, dice: Random) -> None:
    case = Drawing(dice, half=True).case()
    note(repr(case))
    assert len(case.written) >= KEYS
    trial = draw_trial(planned(case, app.loader), dice)
    assert len(trial.found) == len(trial.wanted)
    assert differences(trial) == []
    assert check_elements_keep_their_values(case) == []


@pytest.mark.parametrize("part", range(PARTS))
@given(dice=dice)
@settings(max_examples=COMPOSED, **DRAWN)  # type: ignore[arg-type]
def test_the_composed_config_and_hydras_own_record_are_the_same(app: App, part: int, dice: Random) -> None:
    case = Drawing(dice, half=False).case()
    note(f"part {part}: {case!r}")
    trial = draw_trial(planned(case, app.loader), dice)
    wanted = composed(app, trial.wanted)
    assert len(wanted) == 3, wanted  # Hydra refuses nothing that is drawn here
    assert composed(app, [*trial.found, *SHIMS_OWN]) == wanted


def test_a_text_that_is_half_an_interpolation_is_refused_as_hydra_refuses_it(app: App) -> None:
    (error,) = composed(app, ["pick=one", "++k5=';${`1=<>'"])
    assert error == "Error merging override ++k5=';${`1=<>'"


def test_order_and_deletions_are_kept(app: App) -> None:
    plan = app.plan("pick=one", "d.a=5", "~gone0", "d={a:9}", "k0=1,2")
    overrides = plan.contract.overrides({"k0": 2})
    assert overrides == ["pick=one", "d.a=5", "~gone0", "d={a:9}", "k0=2"]
    assert app.run(overrides).d.a == 9
