"""A folder from which the service can run, with tiny engines and a store of coloured people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from serving.perception import Perception, open_engine
from serving.service_settings import Deployment
from serving.store import open_store, version_of_model
from tests.sightings import CAMERAS, tracklet
from tests.tiny_engines import write_engines

ROOT = Path(__file__).resolve().parent.parent
RED, GREEN, BLUE = (220, 60, 40), (40, 220, 60), (30, 50, 230)
PEOPLE = (RED, GREEN, BLUE)


def write_deployment(folder: Path) -> Deployment:
    """`params.yaml` with the repository's own settings, and `engines/`."""
    sections = {
        "serving": yaml.safe_load((ROOT / "conf" / "serving" / "search.yaml").read_text()),
        "tracking": yaml.safe_load((ROOT / "conf" / "tracking" / "tracklets.yaml").read_text()),
        "reid": {"backbone": "osnet"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(sections))
    write_engines(folder / "engines")
    return Deployment.read(folder)


def picture(colour: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """A person of this colour: `uint8 [48, 24, 3]`, a little noisy."""
    noise = np.random.default_rng(seed).normal(scale=12, size=(48, 24, 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def fill_store(deployment: Deployment) -> None:
    """Each of `PEOPLE` seen four times in turn: tracklets 1, 4, 7, 10 are red, 2, 5, … green, 3, 6, … blue."""
    reid = open_engine(deployment.engine(deployment.reid), "reid", "fall_back")
    detector = open_engine(deployment.engine(deployment.detector), "detector", "fall_back")
    attributes = None
    if deployment.attributes is not None:
        attributes = open_engine(deployment.engine(deployment.attributes), "attributes", "fall_back")
    perception = Perception(detector, reid, attributes, deployment.perception)
    crops = [picture(PEOPLE[i % 3], seed=i) for i in range(12)]
    embeddings = perception.embed(crops)
    found = [replace(tracklet(i + 1, embeddings[i], camera=i % 2, after_s=60 * i), crops=[crops[i]]) for i in range(12)]
    with open_store(deployment.store) as store:
        version = version_of_model(reid.card)
        store.replace_sightings("demo", CAMERAS, version, perception.described(found), time_zone="Asia/Seoul")
