"""Running graphs: plan, session, providers."""

from graphspec.runtime.session import Session

__all__ = ["Session"]
