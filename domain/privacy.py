"""What keeps people's data on this machine and with its user: telemetry is off, and files are the user's alone."""

import os

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",  # MLflow and other packages that follow this convention
    "BENTOML_DO_NOT_TRACK": "True",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime, also in its Linux wheels; read at import
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "YOLO_AUTOINSTALL": "false",  # ultralytics would otherwise install packages
    "YOLO_OFFLINE": "true",  # … and contact its hub and look for updates
    "ALBUMENTATIONS_NO_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}


def switch_telemetry_off() -> None:
    """Set each switch for this process and its children; variables that are already set keep their value."""
    for name, value in TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)


def keep_files_private() -> None:
    """Let this process and its children create files and folders that only their user can read: 0600 and 0700."""
    os.umask(0o077)
