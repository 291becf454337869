"""The command for the best trial composes that trial's config again: drawn sweeps, the same ones each time.

`make fuzz` draws others.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.fidelity.drawn import CONFIGS, Drawing
from tests.fidelity.oracle import draw_trial, planned
from tests.fidelity.rerun import draw_hydra_overrides, rerun_differences
from tests.support import App, app_in


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("drawn reruns"), CONFIGS) as app:
        yield app


@pytest.mark.parametrize("number", range(8))
def test_a_rerun_has_the_trials_config_and_what_it_takes_from_hydra(app: App, number: int) -> None:
    dice = Random(f"rerun {number}")  # noqa: S311 - variety, not secrecy
    sweep = planned(Drawing(dice, half=False).case(), app.loader)
    trial = draw_trial(sweep, dice)
    overrides = [*draw_hydra_overrides(dice), *trial.found]
    assert rerun_differences(app.folder / "conf", app.folder / "it's $a sweep", sweep.agreed, overrides) == ""
