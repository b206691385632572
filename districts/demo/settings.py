"""How large the rendered district is; the numbers stand in `conf/district/demo.yaml`."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from districts.layout import Split
from domain.settings import Settings


class SessionSettings(Settings):
    """One split is one session: its people are filmed in no other."""

    num_people: int = Field(ge=2)  # who walk from camera to camera
    num_passers_by: NonNegativeInt  # who cross one camera's picture once: to learn from, not to look for
    duration_s: PositiveFloat
    fps: PositiveInt
    num_frames: PositiveInt  # of the detection set
    crops_per_visit: PositiveInt  # one visit: a person in front of a camera, once


class DemoSettings(Settings):
    """All of `district.demo`."""

    seed: int = Field(ge=0)
    num_processes: PositiveInt
    num_cameras: int = Field(ge=2, le=8)
    train: SessionSettings
    val: SessionSettings
    test: SessionSettings
    num_problems: PositiveInt
    unknown_share: float = Field(ge=0, lt=1)

    def session(self, split: Split) -> SessionSettings:
        """The session that the data of `split` is cut from."""
        sessions = {"train": self.train, "val": self.val, "test": self.test}
        return sessions[split]

    def first_identity(self, split: Split) -> int:
        """Identities are counted through all sessions from 1, so no two splits share one."""
        before = {"train": 0, "val": self.train.num_people, "test": self.train.num_people + self.val.num_people}
        return 1 + before[split]

    def first_passer_by(self, split: Split) -> int:
        """Passers-by are counted after everybody who walks from camera to camera."""
        before = {"train": 0, "val": self.train.num_passers_by}
        before["test"] = before["val"] + self.val.num_passers_by
        return self.first_identity("test") + self.test.num_people + before[split]
