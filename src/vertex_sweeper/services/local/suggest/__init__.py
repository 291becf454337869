"""Where parameters come from: Optuna or a grid. Only this room imports Optuna; it knows none of its neighbours."""
