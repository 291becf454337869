"""Vertex AI as a service: the only part of the engine that knows Google's client, and it loads it at first use."""

from vertex_sweeper.services.vertex.message import find_mistakes
from vertex_sweeper.services.vertex.service import VertexService

__all__ = ["VertexService", "find_mistakes"]
