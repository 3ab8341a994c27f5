"""Content types: what a body is, and what a client takes."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request

from graphspec_server.errors import NotAcceptable, UnsupportedMedia

JSON = "application/json"
SAFETENSORS = "application/vnd.safetensors"
TEXT = "text/plain"
ONNX = "application/x-onnx"
OCTETS = "application/octet-stream"
ONNX_TYPES = (ONNX, OCTETS, "application/protobuf", "application/x-protobuf")


def body_type(request: Request, taken: Iterable[str]) -> str:
    """The content type of the body, JSON unless the client says otherwise.

    Raises:
        UnsupportedMedia: It is none of those taken here, or it is compressed or not UTF-8.
    """
    essence, *parameters = [part.strip().lower() for part in request.headers.get("content-type", JSON).split(";")]
    if essence not in taken:
        raise UnsupportedMedia("This content type is not taken here.", expected=", ".join(taken), found=essence)
    charset = next((p[8:].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMedia("Text is taken in UTF-8 only.", expected="charset=utf-8", found=charset)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMedia("Compressed bodies are not taken.", expected="no Content-Encoding", found=coding)
    return essence


def answer_type(request: Request, offered: tuple[str, ...]) -> str:
    """Which of the types offered the client likes best; the first of them when it does not care.

    Raises:
        NotAcceptable: It takes none of them.
    """
    accept = ",".join(request.headers.getlist("accept")).strip() or "*/*"
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    qualities = [(_quality(kind, ranges), kind) for kind in offered]
    best, kind = max(qualities, key=lambda pair: pair[0])
    if best <= 0:
        raise NotAcceptable("None of the types asked for is offered.", expected=", ".join(offered), found=accept)
    return kind


def _range(text: str) -> tuple[str, float]:
    essence, *parameters = [part.strip().lower() for part in text.split(";")]
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return essence, float(quality)
    except ValueError:
        return essence, 0.0


def _quality(kind: str, ranges: list[tuple[str, float]]) -> float:
    """That of the most specific range that covers the type."""
    found = dict(reversed(ranges))
    family = kind.split("/")[0] + "/*"
    return next((found[key] for key in (kind, family, "*/*") if key in found), 0.0)
