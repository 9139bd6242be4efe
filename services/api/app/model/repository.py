"""The base classes of repositories."""

from kit.data.repository import ExpiringRepository, Repository
from kit.data.resource_repository import ResourceRepository

__all__ = ["ExpiringRepository", "Repository", "ResourceRepository"]
