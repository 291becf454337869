"""Suggestions by Optuna: the only module that imports it, and only when the first suggester is made.

The study's tree is flattened: Optuna is asked for every parameter under its path, and the active ones are handed out.
Models of a whole space find better optima than models of its fragments.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from vertex_sweeper.errors import MissingExtra
from vertex_sweeper.services.local.parameter_tree import Choice, ParameterSpec, choose, walk
from vertex_sweeper.services.local.suggest.tried_points import TriedPoints
from vertex_sweeper_runtime.contract import Kind, Scale, ServiceValue

if TYPE_CHECKING:
    from types import ModuleType

_CREATION: Final = threading.Lock()

_DRAWS: Final = 8
"""How often a sampler is asked that repeats a point, before one of the untried is taken."""


class Algorithm(Enum):
    """The study's algorithms, as the API spells them."""

    BAYESIAN = "ALGORITHM_UNSPECIFIED"
    RANDOM = "RANDOM_SEARCH"
    GRID = "GRID_SEARCH"


class OptunaSuggester:
    """Asks an in-memory Optuna study; repeatable for one seed and one order of completions.

    Args:
        parameters: The study's parameters.
        metrics: Metric ids, each with whether it is to be maximised.
        algorithm: BAYESIAN or RANDOM.
        seed: The study's seed.

    Raises:
        MissingExtra: Optuna is not installed.
    """

    def __init__(
        self, parameters: Sequence[ParameterSpec], *, metrics: Mapping[str, bool], algorithm: Algorithm, seed: int
    ) -> None:
        self._optuna = _import_optuna()
        self._parameters = tuple(parameters)
        self._metrics = tuple(metrics)
        self._algorithm = algorithm
        self._seed = seed
        self._lock = threading.Lock()
        self._distributions = {parameter.path: self._distribution(parameter) for parameter in walk(self._parameters)}
        self._pending: dict[int, Any] = {}
        self._tried = TriedPoints(self._parameters)
        directions = ["maximize" if maximised else "minimize" for maximised in metrics.values()]
        with _quiet():
            self._study = self._optuna.create_study(directions=directions)

    def suggest(self, trial: int) -> tuple[Choice, ...]:
        """What the trial of this number should try; no point twice while there are others."""
        with self._lock:
            asked = self._ask_for_new(trial)
            self._pending[trial] = asked
            choices = self._choices(asked)
            self._tried.add(choices)
        return choices

    def _ask_for_new(self, trial: int) -> Any:
        for draw in range(_DRAWS):
            # A fresh sampler for every suggestion, seeded by the trial's number: what is suggested then depends on what was
            # told before, and on nothing else. (A fresh sampler of the same seed would repeat its first draws.)
            seed = _derive_seed(self._seed, f"{trial}/{draw}" if draw else str(trial))
            self._study.sampler = self._sampler(seed)
            asked = self._study.ask(self._distributions)
            if not self._tried.repeats(self._choices(asked)):
                return asked
            self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)  # samplers do not learn from these
        picked = self._tried.pick_untried(seed)
        specs = {parameter.path: parameter for parameter in walk(self._parameters)}
        raw = dict(asked.params) | {path: _from_service(specs[path], value) for path, value in picked.items()}
        return self._ask_for(raw)

    def _ask_for(self, raw: Mapping[str, Any]) -> Any:
        self._study.enqueue_trial(dict(raw))
        return self._study.ask(self._distributions)

    def _choices(self, asked: Any) -> tuple[Choice, ...]:
        raw: Mapping[str, Any] = asked.params
        return tuple(choose(self._parameters, value_of=lambda parameter: _to_service(parameter, raw[parameter.path])))

    def drawn(self, trial: int) -> Mapping[str, Any]:
        """Optuna's values for every parameter, by its path: those of inactive ones are learnt from, too."""
        with self._lock:
            return dict(self._pending[trial].params)

    def recall(self, trial: int, drawn: Mapping[str, Any]) -> None:
        """A trial of an earlier process, with what was drawn for it then."""
        with self._lock:
            self._pending[trial] = asked = self._ask_for(drawn)
            self._tried.add(self._choices(asked))

    def tell(self, trial: int, values: Mapping[str, float] | None) -> None:
        """The trial's final values by metric id; None for an infeasible trial."""
        with self._lock:
            asked = self._pending.pop(trial)
            if values is None:
                self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(asked, [values[metric] for metric in self._metrics])

    def _sampler(self, seed: int) -> Any:
        if self._algorithm is Algorithm.RANDOM:
            return self._optuna.samplers.RandomSampler(seed=seed)
        return self._optuna.samplers.TPESampler(seed=seed)

    def _distribution(self, parameter: ParameterSpec) -> Any:
        distributions = self._optuna.distributions
        logarithmic = parameter.scale in (Scale.LOG, Scale.REVERSE_LOG)
        if _is_extreme(parameter):
            return distributions.FloatDistribution(0.0, 1.0)
        if parameter.kind is Kind.DOUBLE:
            return distributions.FloatDistribution(parameter.low, parameter.high, log=logarithmic)
        if parameter.kind is Kind.INTEGER:
            return distributions.IntDistribution(parameter.low, parameter.high, log=logarithmic)
        if parameter.kind is Kind.DISCRETE:
            return distributions.IntDistribution(0, len(parameter.values) - 1)  # the index keeps the order
        return distributions.CategoricalDistribution(parameter.values)


def _to_service(parameter: ParameterSpec, raw: Any) -> ServiceValue:
    if parameter.kind is Kind.CATEGORICAL:
        return str(raw)
    if parameter.kind is Kind.DISCRETE:
        return parameter.values[int(raw)]
    if _is_extreme(parameter):
        raw = parameter.low * (1 - raw) + parameter.high * raw
    elif parameter.scale is Scale.REVERSE_LOG:
        raw = parameter.high - (raw - parameter.low)  # the log scale reversed: dense at the upper bound
    clamped = min(max(raw, parameter.low), parameter.high)  # exp(log(x)) and the reversal may leave the bounds by a rounding
    return int(clamped) if parameter.kind is Kind.INTEGER else float(clamped) + 0.0  # as the contract has it: no -0.0


def _from_service(parameter: ParameterSpec, value: Any) -> Any:
    """What `_to_service` makes this value of, for a parameter of which there are finitely many."""
    if parameter.kind is Kind.DISCRETE:
        return parameter.values.index(value)
    if parameter.kind is Kind.INTEGER and parameter.scale is Scale.REVERSE_LOG:
        return int(parameter.high) - (value - int(parameter.low))
    return value


def _is_extreme(parameter: ParameterSpec) -> bool:
    """Whether Optuna's models cannot compute with the range itself, because of how wide or narrow it is."""
    if parameter.kind is not Kind.DOUBLE or parameter.low == parameter.high:
        return False
    width, least = parameter.high - parameter.low, 1e-9 * max(abs(parameter.low), abs(parameter.high))
    if parameter.scale in (Scale.LOG, Scale.REVERSE_LOG):
        return width < least  # so narrow, the scale is a linear one
    return not max(least, 1e-100) <= width <= 1e100  # noqa: PLR2004 - the square is still a double


def _derive_seed(seed: int, trial: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{trial}".encode()).digest()[:4], "big")


def _import_optuna() -> ModuleType:
    try:
        import optuna  # an extra, and 0.1 s: only who runs locally has it and pays for it
    except ImportError as error:
        raise MissingExtra("local", "backend local") from error
    module: ModuleType = optuna
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    # Optuna announces every new study on stderr through a handler of its own. Its verbosity is one number for the whole
    # process and belongs to the application, which may use Optuna itself; so only the one logger, and only for this moment.
    logger = logging.getLogger("optuna.storages")
    with _CREATION:
        level = logger.level
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)
