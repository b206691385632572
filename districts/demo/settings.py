"""Size of the rendered district; the values are in `conf/district/demo.yaml`."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from districts.layout import Split
from domain.settings import Settings


class SessionSettings(Settings):
    """One session, which is one split: its people are in no other session."""

    num_people: int = Field(ge=2)  # walk from camera to camera
    num_passers_by: NonNegativeInt  # cross one camera's picture once: training material, never search targets
    duration_s: PositiveFloat
    fps: PositiveInt
    num_frames: PositiveInt  # of the detection set
    crops_per_visit: PositiveInt  # a visit: one person's unbroken stay before a camera


class DemoSettings(Settings):
    """Section `district.demo`."""

    seed: int = Field(ge=0)
    num_processes: PositiveInt
    num_cameras: int = Field(ge=2, le=8)
    train: SessionSettings
    val: SessionSettings
    test: SessionSettings
    num_problems: PositiveInt
    unknown_share: float = Field(ge=0, lt=1)

    def session(self, split: Split) -> SessionSettings:
        """Settings of the session from which the data of `split` is cut."""
        sessions = {"train": self.train, "val": self.val, "test": self.test}
        return sessions[split]

    def first_identity(self, split: Split) -> int:
        """First identity of `split`; identities count from 1 through all sessions, so splits share none."""
        before = {"train": 0, "val": self.train.num_people, "test": self.train.num_people + self.val.num_people}
        return 1 + before[split]

    def first_passer_by(self, split: Split) -> int:
        """First identity of the passers-by of `split`; they come after all people who walk from camera to camera."""
        before = {"train": 0, "val": self.train.num_passers_by}
        before["test"] = before["val"] + self.val.num_passers_by
        return self.first_identity("test") + self.test.num_people + before[split]
