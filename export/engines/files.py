"""Files of an engine folder: their names and checksums."""

import hashlib
from pathlib import Path

from domain.errors import ArtifactError
from domain.model_card import EngineFile


def onnx_name(precision: str) -> str:
    """Name of the ONNX file of that precision in an engine folder."""
    return "model.onnx" if precision == "fp32" else f"model.{precision}.onnx"


def sha256_of(file: Path) -> str:
    """Checksum of `file` in hexadecimal.

    Raises:
        ArtifactError: if it cannot be read.
    """
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{file} must be a readable file; export the model again ({error.strerror})") from error


def require_checksum(file: Path, entry: EngineFile) -> None:
    """Raise `ArtifactError` unless `file` is there and is the one that the card's `entry` describes."""
    got = sha256_of(file)
    if got != entry.sha256:
        raise ArtifactError(
            f"{file} does not fit its card: sha256 must begin with {entry.sha256[:12]}, got {got[:12]}; "
            "export the model again"
        )
