"""Where parameters come from: Optuna or a grid. The only place that imports Optuna."""
