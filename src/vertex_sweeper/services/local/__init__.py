"""The local service: runs a HyperparameterTuningJob on this machine, as Vertex would run it there."""

from vertex_sweeper.services.local.service import LocalService

__all__ = ["LocalService"]
