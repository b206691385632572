"""Which stages a district has: `conf/config.yaml` computes the section `stages`, from which dvc.yaml makes them.

A model is trained where the district has data for it, unless `take` names an engine instead; other stages follow from
that. `left_out` has each stage that a reader may miss, with the reason.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from .attribute_labels import why_not_scored
from .resolvers import input_path, project

_KINDS = ("detection", "attributes", "reid", "videos")
_ATTRIBUTES_OF_MARKET1501 = "market_attribute.mat"
_CODE = "export/engines"  # stands where a stage depends on no file: code that it depends on anyway
_REID = "reid-"

Tree = Mapping[str, Any]


def experiment_of(district: str) -> str:
    """The experiment of a district whose user names none: the demo's toy sizes are for the demo alone."""
    return "demo" if district == "demo" else "finetune"


def models_of(backbones: Iterable[str], take: Iterable[str]) -> dict[str, str]:
    """Each model and the kind of data it needs: detector, attributes, and re-ID models, trained or taken.

    Raises:
        ValueError: if `take` names a model of no kind.
    """
    models = {"detector": "detection", "attributes": "attributes"}
    models |= {f"{_REID}{backbone}": "reid" for backbone in backbones}
    for model in take:
        if model not in models and not model.startswith(_REID):
            raise ValueError(f"take must name detector, attributes or reid-<name>, got {model}")
        models.setdefault(model, "reid")
    return models


def kinds_of(district: Tree) -> set[str]:
    """The kinds of data that the district's source has; all of them if there is no source to look at."""
    importer, source = district["importer"], district["source"]
    folder = project() / Path(source).expanduser() if source else None
    if importer in ("pa100k", "peta"):
        return {"attributes"}
    if importer == "market1501":
        has_attributes = folder is None or not folder.is_dir() or (folder / _ATTRIBUTES_OF_MARKET1501).is_file()
        return {"reid", "attributes"} if has_attributes else {"reid"}
    if importer == "folder" and folder is not None and folder.is_dir():
        return {kind for kind in _KINDS if (folder / kind).is_dir()}
    return set(_KINDS)


def stages_of(
    district: Tree, take: Tree, detector: Tree, attributes: Tree, reid: Tree, tracking: Tree, check_labels: Tree
) -> dict[str, Any]:
    """For each stage of dvc.yaml the names it runs for, in DVC's form: a list, or what each run needs by its name.

    The arguments are the sections of these names.

    Raises:
        ValueError: if a model starts from weights, or is taken from a place, that does not exist.
    """
    name, has = district["name"], kinds_of(district)
    models = models_of(reid["backbones"], take)
    trained = [model for model, kind in models.items() if kind in has and model not in take]
    unfit = why_not_scored(take["attributes"], district) if "attributes" in take and "attributes" in has else None
    scored = [model for model, kind in models.items() if kind in has and not (model == "attributes" and unfit)]
    _require_files(trained, take, detector, attributes, reid["backbones"])
    served = [tracking["detector"], *filter(None, [tracking["attributes"]]), f"{_REID}{reid['backbone']}"]
    missing = [model for model in served if model not in trained and model not in take]
    described = [f"engines/{name}/{model}" for model in served if model == tracking["attributes"]]
    transits = f"transits/{name}" if "reid" in has else _CODE
    served_by = {} if missing else {name: {"attributes": next(iter(described), _CODE), "transits": transits}}
    filmed = served_by if "videos" in has else {}
    own = f"{_REID}{reid['backbone']}"
    has_judge = check_labels["engine"] is not None or own in trained or own in take
    engine = input_path(check_labels["engine"], f"engines/{name}/{own}")
    judged = {name: {"engine": engine}} if has_judge and {"reid", "attributes"} & has else {}
    return {
        "prepare": [name],
        "train_detector": [name for model in trained if model == "detector"],
        "train_attributes": [name for model in trained if model == "attributes"],
        "train_reid": _of_backbones(trained, name, reid["backbones"]),
        "take": {
            f"{model}-{name}": {"model": model, "source": input_path(_taken(take[model]), _CODE)} for model in take
        },
        "export": {f"{model}-{name}": {"model": model} for model in trained},
        "predict": {f"{model}-{name}": {"model": model} for model in scored},
        "check_labels": judged,
        "fit_transits": [name] if "reid" in has else [],
        "evaluate_detector": [name for model in scored if model == "detector"],
        "evaluate_attributes": [name for model in scored if model == "attributes"],
        "evaluate_reid": {
            f"{model.removeprefix(_REID)}-{name}": {"backbone": model.removeprefix(_REID)}
            for model in scored
            if models[model] == "reid"
        },
        "track": filmed,
        "evaluate_tracking": list(filmed),
        "report": {name: {"transits": transits}} if scored or filmed else {},
        "package": served_by,
        "left_out": _left_out(models, take, has, missing, unfit, has_judge=has_judge),
    }


def _require_files(trained: Iterable[str], take: Tree, detector: Tree, attributes: Tree, backbones: Tree) -> None:
    named = {f"take.{model}": _taken(engine) for model, engine in take.items()}
    sections = {"detector": ("detector.weights", detector), "attributes": ("attributes.weights", attributes)}
    sections |= {f"{_REID}{key}": (f"reid.backbones.{key}.weights", each) for key, each in backbones.items()}
    named |= {sections[model][0]: sections[model][1]["weights"] for model in trained}
    faults = []
    for key, path in named.items():
        if path is not None and not Path(input_path(path, "")).exists():
            otherwise = "train the model" if key.startswith("take.") else f"{key}=null or experiment=scratch"
            faults.append(f"{key} must be there, {path} is missing: put it there, or {otherwise}")
    if faults:
        raise ValueError("; ".join(faults))


def _of_backbones(trained: Iterable[str], name: str, backbones: Tree) -> dict[str, dict[str, str]]:
    keys = [model.removeprefix(_REID) for model in trained if model.startswith(_REID)]
    return {
        f"{key}-{name}": {"backbone": key, "weights": input_path(backbones[key]["weights"], "training/reid")}
        for key in keys
    }


def _taken(engine: str | Tree) -> str:
    """What is taken: an engine's folder, or the weights to import."""
    return engine if isinstance(engine, str) else str(engine["weights"])


def _left_out(
    models: Tree, take: Tree, has: set[str], missing: list[str], unfit: str | None, *, has_judge: bool
) -> dict[str, str]:
    reasons = {} if unfit is None else {"evaluate_attributes": unfit}
    if {"reid", "attributes"}.isdisjoint(has):
        reasons["check_labels"] = "the district has no crops of people"
    elif not has_judge:
        reasons["check_labels"] = "no re-ID engine: train it, or name one in check_labels.engine"
    for model, kind in models.items():
        if kind not in has:
            step = "evaluate" if model in take else "train"
            stage = f"{step}_reid@{model.removeprefix(_REID)}" if kind == "reid" else f"{step}_{model}"
            reasons[stage] = f"the district has no {kind} data"
    no_engine = f"no engine of {' and '.join(missing)}: train it, or name one in take"
    if missing:
        reasons["package"] = no_engine
    if missing or "videos" not in has:
        reasons["track"] = no_engine if missing else "the district has no videos"
    return reasons


OmegaConf.register_new_resolver("experiment_of", experiment_of, replace=True)
OmegaConf.register_new_resolver("models", lambda *groups: ListConfig(list(models_of(*groups))), replace=True)
OmegaConf.register_new_resolver("stages", lambda *sections: DictConfig(stages_of(*sections)), replace=True)
