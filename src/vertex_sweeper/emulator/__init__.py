"""A Vertex tuning emulator: the local service behind the API that Vertex AI has for tuning jobs, on loopback.

It knows services and the wire, and never a sweep, its files or its terminal.
"""

from vertex_sweeper.emulator.emulator import Emulator

__all__ = ["Emulator"]
