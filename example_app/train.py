"""Learns to read handwritten digits, and says how well.

python example_app/train.py model=svm data.components=20
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import hydra
import numpy as np
from omegaconf import DictConfig, OmegaConf
from schema import Config, Data, Linear, Mlp, Model, Scaling, Svm, register_schema
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

log = logging.getLogger(__name__)

register_schema()


def load_split(data: Data) -> tuple[Any, Any, Any, Any]:
    """Return training images, validation images, and the digits they show."""
    digits = load_digits()
    images = (digits.data / digits.data.max()) ** data.contrast
    split = train_test_split(
        images.astype(np.float64), digits.target, test_size=data.valid_fraction, random_state=data.seed, stratify=digits.target
    )
    return tuple(split)


def build_classifier(model: Model, *, seed: int) -> Any:
    """Return the classifier that a model config describes, untrained."""
    if isinstance(model, Linear):
        return LogisticRegression(C=1 / model.regularization, max_iter=model.max_iter)
    if isinstance(model, Svm):
        return SVC(C=1 / model.regularization, kernel=model.kernel.value, gamma=model.gamma)
    if isinstance(model, Mlp):
        return MLPClassifier(
            hidden_layer_sizes=(model.hidden,) * model.layers,
            alpha=model.regularization,
            learning_rate_init=model.lr,
            batch_size=model.batch_size,
            max_iter=model.epochs,
            random_state=seed,
        )
    msg = f"no classifier for {type(model).__name__}"
    raise TypeError(msg)


def build_scaler(scaling: Scaling) -> Any:
    """Return the step that scales the pixels, or the word that leaves them alone."""
    return {Scaling.none: "passthrough", Scaling.minmax: MinMaxScaler(), Scaling.standard: StandardScaler()}[scaling]


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def train(cfg: DictConfig) -> float:
    """Train one model; the accuracy on images that it has not seen."""
    config: Config = OmegaConf.to_object(cfg)  # type: ignore[assignment]
    train_images, valid_images, train_digits, valid_digits = load_split(config.data)
    pipeline = make_pipeline(
        build_scaler(config.data.scaling),
        PCA(n_components=config.data.components, random_state=config.seed),
        build_classifier(config.model, seed=config.seed),
    )
    with warnings.catch_warnings():
        # The number of epochs is a setting here, and stopping there is what was asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(train_images, train_digits)
    accuracy = float(pipeline.score(valid_images, valid_digits))
    log.info("validation accuracy %.4f", accuracy)
    return accuracy


if __name__ == "__main__":
    train()
