"""Output folders of the stages, relative to the working directory; `dvc.yaml` names the same folders."""

from pathlib import Path

DATA = Path("data")  # data/<district>: see districts.layout
MODELS = Path("models")  # models/<model>: weights and card.json, written by training
ENGINES = Path("engines")  # engines/<model>: model.onnx, *.plan, card.json, parity.json, by export
PREDICTIONS = Path("predictions")  # predictions/<model>: *.npz, by export.predict
METRICS = Path("metrics")  # metrics/<model>.json, by evaluation
PLOTS = Path("plots")  # plots/<model>/*.png, by evaluation
TRACKS = Path("tracks")  # <camera>.txt (MOTChallenge), tracklets.npz, answers.json, by serving.track
REPORTS = Path("reports")  # report.md, report.html, by evaluation.report
BENTO = Path("bento")  # the built Bento, by serving.package
STORE = Path("store")  # embedded PostgreSQL and crops, filled by serving.track; not a DVC output
