"""A backbone that the project does not have, added as a contributor would: in `conf/` alone."""

from pathlib import Path

import yaml

ADDED = "osnet_x0_5"


def add_backbone(project: Path) -> None:
    """Add `ADDED` to `reid.backbones` of the `conf/` in `project`, with what the first backbone there says."""
    file = project / "conf" / "reid" / "osnet_resnet50.yaml"
    content = yaml.safe_load(file.read_text())
    first = next(iter(content["backbones"].values()))
    content["backbones"][ADDED] = first | {"architecture": ADDED}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
