"""A Vertex tuning emulator: the local service behind the API that Vertex AI has for tuning jobs, on loopback."""

from vertex_sweeper.emulator.emulator import Emulator

__all__ = ["Emulator"]
