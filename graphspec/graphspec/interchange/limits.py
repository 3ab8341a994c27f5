"""How large a graph may be before it is refused: sources are untrusted."""

from __future__ import annotations

import dataclasses

from graphspec.errors import LimitError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What ``load`` accepts; past any of these it raises ``LimitError`` and names the limit.

    Attributes:
        max_bytes: Length of the source: protobuf, JSON or text.
        max_nesting: Graphs within graphs, and types within types. Protobuf itself parses no message nested deeper
            than 100, which is about 30 graphs.
        max_nodes: Nodes of the model, those of subgraphs and functions included.
        max_initializer_bytes: Bytes of all tensors stored in the model; a sparse one counts as if it were dense.
    """

    max_bytes: int = 2**31 - 1
    max_nesting: int = 24
    max_nodes: int = 1_000_000
    max_initializer_bytes: int = 2**31 - 1

    def check(self, limit: str, found: int, path: str = "") -> None:
        """Refuse ``found`` if it is past the named limit.

        Raises:
            LimitError: It is; the problem says where, how much is allowed and how much was found.
        """
        allowed = getattr(self, limit)
        if found > allowed:
            what = _WORDS[limit]
            raise LimitError(
                f"The source has too many {what}: {found}, the limit {limit} is {allowed}.",
                path=path,
                expected=f"at most {allowed} {what}",
                found=str(found),
            )


_WORDS = {
    "max_bytes": "bytes",
    "max_nesting": "levels of nesting",
    "max_nodes": "nodes",
    "max_initializer_bytes": "bytes of tensors",
}

DEFAULT_LIMITS = Limits()
