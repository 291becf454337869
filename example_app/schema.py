"""The app's config, typed: what may be set, and what a value must be."""

from dataclasses import dataclass, field
from enum import Enum

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


class Scaling(Enum):
    """How pixels are brought to one scale."""

    none = "none"
    minmax = "minmax"
    standard = "standard"


class Kernel(Enum):
    """Kernels of the support vector machine."""

    linear = "linear"
    rbf = "rbf"
    poly = "poly"


@dataclass
class Model:
    """What every model has: how strongly it is kept simple, whatever its library calls that."""

    regularization: float = MISSING


@dataclass
class Linear(Model):
    """Logistic regression."""

    max_iter: int = MISSING


@dataclass
class Svm(Model):
    """A support vector machine; gamma is the reach of one example."""

    kernel: Kernel = MISSING
    gamma: float = MISSING


@dataclass
class Mlp(Model):
    """A small neural net."""

    hidden: int = MISSING
    layers: int = MISSING
    lr: float = MISSING
    batch_size: int = MISSING
    epochs: int = MISSING


@dataclass
class Data:
    """The images, how they are split, and what is done to them first."""

    valid_fraction: float = MISSING
    seed: int = MISSING
    scaling: Scaling = MISSING
    components: int = MISSING
    contrast: float = MISSING


@dataclass
class Config:
    """One run."""

    model: Model = MISSING
    data: Data = field(default_factory=Data)
    seed: int = 0


def register_schema() -> None:
    """Put the types where the files under conf/ name them."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    store.store(group="schema/data", name="digits", node=Data)
    for name, node in {"linear": Linear, "svm": Svm, "mlp": Mlp}.items():
        store.store(group="schema/model", name=name, node=node)
