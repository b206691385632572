"""Figures of the 2022 field study in Suseong-gu, Daegu, shown beside ours; fractions in 0..1."""

BACKBONES = {"osnet": "OSNet", "resnet50": "ResNet-50"}  # how the study writes them

DETECTION_ACCURACY = 0.9012

ATTRIBUTES = {
    "instance_accuracy": 0.925,
    "instance_precision": 0.958,
    "instance_recall": 0.959,
    "instance_f1": 0.958,
    "label_mean_accuracy": 0.896,
}  # Tables 3 and 4: its no-colour model with 28 labels

REID = {
    ("osnet", "plain"): {"map": 0.808, "rank1": 0.933, "rank5": 0.977, "rank10": 0.985, "rank20": 0.990},
    ("osnet", "reranked"): {"map": 0.947, "rank1": 0.991, "rank5": 0.998, "rank10": 0.999, "rank20": 0.999},
    ("resnet50", "reranked"): {"map": 0.857, "rank1": 0.967, "rank5": 0.988, "rank10": 0.993, "rank20": 0.997},
}  # Table 5: query 3,441, gallery 16,441

TRACKING = {"rank1": 0.819, "rank2": 0.844, "rank3": 0.844, "rank4": 0.844, "rank5": 0.844}  # Table 7

SPEED = "three A100 40 GB: at most 70 ms a frame per video for detection, ten videos at once; 4 ms a pair for search"
