"""What MLflow's pages show first: the figures that a person compares, and the view of the list of runs."""

import json

HEADLINES = {  # by their names in the log; each may have an interval beside it, `<name>_low` and `<name>_high`
    "test/ap50": "detection AP50",
    "test/f1": "detection F1 at the threshold in use",
    "test/instance_f1": "attributes, instance F1",
    "test/label_mean_accuracy": "attributes, label mean accuracy",
    "test/plain/map": "re-ID mAP",
    "test/plain/rank1": "re-ID Rank-1",
    "test/reranked/map": "re-ID mAP, re-ranked",
    "tracking/rank1": "tracking Rank-1",
    "tracking/idf1": "tracking IDF1, within cameras",
    "tracking/hota": "tracking HOTA, within cameras",
    "tracking/global_idf1": "tracking IDF1, global ids",
}
VIEW = "dongseon"  # name of the view, in the address of the list of runs
_COLUMNS = ("test/ap50", "test/instance_f1", "test/plain/map", "tracking/rank1", "tracking/idf1")
_SHOWN = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "selectedColumns": ["tags.`district`", *(f"metrics.`{figure}`" for figure in _COLUMNS)],
}
TAGS = {  # of the experiment: its runs are trainings, not talks with an agent, which MLflow takes for granted
    "mlflow.experimentKind": "custom_model_development",
    f"mlflow.sharedViewState.{VIEW}": json.dumps(_SHOWN),
}


def address_of_runs(experiment_id: str) -> str:
    """The list of runs with our columns, relative to the address of the server."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"
