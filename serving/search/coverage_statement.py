"""The coverage that goes with a search, in its answer and in what is kept of it: short, whatever the cameras did."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from serving.search.coverage import CameraCoverage, Coverage, Span

_MOST_PIECES = 1000  # of all cameras: about 80 kB
_NO_HOLE = timedelta(seconds=1)  # the segments of a stream are a frame apart
_KINDS = ("searched", "waiting", "failed", "gaps")
_LASTING = datetime.max.replace(tzinfo=UTC)


def statement_of(coverage: Coverage) -> Coverage:
    """`coverage` with pieces that follow on each other as one; of too many, the longest of each kind and camera.

    `num_left_out` says how many of a camera's are not listed. Shares are those of all.
    """
    merged = [{kind: _merged(getattr(camera, kind)) for kind in _KINDS} for camera in coverage.cameras]
    lengths = [len(pieces) for of_camera in merged for pieces in of_camera.values() if pieces]
    most = max(1, _MOST_PIECES // len(lengths)) if sum(lengths) > _MOST_PIECES else _MOST_PIECES
    cameras = [_shortened(camera, pieces, most) for camera, pieces in zip(coverage.cameras, merged, strict=True)]
    return coverage.model_copy(update={"cameras": cameras})


def _shortened(camera: CameraCoverage, merged: dict[str, list[Span]], most: int) -> CameraCoverage:
    listed = {kind: _longest(pieces, most) for kind, pieces in merged.items()}
    num_left_out = sum(len(merged[kind]) - len(listed[kind]) for kind in _KINDS)
    return camera.model_copy(update={**listed, "num_left_out": num_left_out})


def _merged(pieces: Sequence[Span]) -> list[Span]:
    """Pieces in order of time; those that last, of whose end nothing is known, stay as they are."""
    merged: list[Span] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last is None or last.until is None or piece.until is None or last.reason != piece.reason:
            merged.append(piece)
        elif piece.since - last.until < _NO_HOLE:
            merged[-1] = last.model_copy(update={"until": max(last.until, piece.until)})
        else:
            merged.append(piece)
    return merged


def _longest(pieces: Sequence[Span], most: int) -> list[Span]:
    longest = sorted(pieces, key=lambda piece: (piece.until or _LASTING) - piece.since, reverse=True)[:most]
    return sorted(longest, key=lambda piece: piece.since)
