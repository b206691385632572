"""The artifact of a transit model comes back as it was written, and says what is wrong with it."""

from pathlib import Path

import numpy as np
import pytest

from domain.errors import ArtifactError
from evaluation.reporting.transit_figures import plot_transits
from evaluation.transit import TransitModel, fit_transits, walks_of_people
from evaluation.transit.files import TransitCard, read_transits, write_transits
from tests.helpers.street import street_metres, walk_along


@pytest.fixture(scope="module")
def model() -> TransitModel:
    crops = walk_along(60, 3, seed=1)
    walks = walks_of_people(crops.identities, crops.cameras, crops.times_s)
    return fit_transits(walks, crops.cameras, crops.times_s, metres=street_metres(3))


def test_a_model_comes_back_as_it_was_written(model: TransitModel, tmp_path: Path) -> None:
    written = write_transits(tmp_path, model, TransitCard(district="street", cameras={1: "gate", 2: "hall", 3: "yard"}))
    found, card = read_transits(tmp_path)
    assert found is not None
    for name, value in vars(model).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    assert card == written
    assert card.num_walks == pytest.approx(model.num_walks.sum())
    assert len(card.version) == 12


def test_a_district_without_times_has_a_card_that_says_so(tmp_path: Path) -> None:
    write_transits(tmp_path, None, TransitCard(district="street", left_out="no crop has a time"))
    found, card = read_transits(tmp_path)
    assert found is None
    assert card.left_out == "no crop has a time"


def test_a_missing_or_foreign_file_is_named(model: TransitModel, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="must hold a transit model; rerun fit_transits"):
        read_transits(tmp_path)
    write_transits(tmp_path, model, TransitCard(district="street"))
    (tmp_path / "transits.npz").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="must be of the version"):
        read_transits(tmp_path)
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(ArtifactError, match="must hold a transit model"):
        read_transits(tmp_path)


@pytest.mark.slow
def test_the_densities_are_drawn(model: TransitModel, tmp_path: Path) -> None:
    plot_transits(model, {1: "gate", 2: "hall", 3: "yard"}, tmp_path / "densities.png")
    assert (tmp_path / "densities.png").stat().st_size > 10_000
