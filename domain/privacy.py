"""Nothing phones home: the switches of the packages that would."""

import os

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",  # MLflow and others that keep to the common name
    "BENTOML_DO_NOT_TRACK": "True",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime's, in its Linux wheels too; read when it is imported
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "YOLO_AUTOINSTALL": "false",  # ultralytics would install packages by itself
    "YOLO_OFFLINE": "true",  # and look for a network, updates and its hub
    "ALBUMENTATIONS_NO_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}


def switch_telemetry_off() -> None:
    """Set each switch in this process and its children; what a person set on purpose stays."""
    for name, value in TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)
