"""Files of an engine folder: their names and checksums."""

from pathlib import Path

from domain.errors import ArtifactError
from domain.files import sha256_of
from domain.model_card import EngineFile


def onnx_name(precision: str) -> str:
    """Name of the ONNX file of `precision` in an engine folder."""
    return "model.onnx" if precision == "fp32" else f"model.{precision}.onnx"


def require_checksum(file: Path, entry: EngineFile) -> None:
    """Raise `ArtifactError` unless `file` exists and has the checksum of the card's `entry`."""
    try:
        got = sha256_of(file)
    except OSError as error:
        raise ArtifactError(f"{file} must be a readable file; export the model again ({error.strerror})") from error
    if got != entry.sha256:
        raise ArtifactError(
            f"{file} does not fit its card: sha256 must begin with {entry.sha256[:12]}, got {got[:12]}; "
            "export the model again"
        )
