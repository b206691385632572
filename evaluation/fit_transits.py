"""DVC stage `fit_transits`: times of the training people's crops -> transits/<district>: model, card, plot."""

from collections.abc import Sequence

from districts.layout import District, read_district
from domain.atomic import atomic_folder
from domain.paths import DATA, TRANSITS, configured_district
from domain.stage import run_stage
from evaluation.district_transits import transits_of_people
from evaluation.reporting.transit_figures import plot_transits
from evaluation.transit import TransitModel
from evaluation.transit.files import TransitCard, write_transits


def main(argv: Sequence[str] = ()) -> None:
    """Fit the district's transit model; without times of crops, the card says so."""
    name = configured_district(argv)
    folder = DATA.of(name)
    model, district = transits_of_people(folder), read_district(folder)
    with atomic_folder(TRANSITS.of(name)) as out:
        if model is None:
            reason = "no training person has two visits with times (reid/times.csv)"
            write_transits(out, None, TransitCard(district=name, left_out=reason))
            print(f"{TRANSITS.of(name)}: no transit times: {reason}")
            return
        cameras = cameras_of(model, district)
        card = write_transits(out, model, TransitCard(district=name, cameras=cameras))
        plot_transits(model, cameras, out / "densities.png")
    print(f"{TRANSITS.of(name)}: {card.num_walks:.0f} walks between {len(cameras)} cameras, version {card.version}")


def cameras_of(model: TransitModel, district: District) -> dict[int, str]:
    """Id of each camera by its number in re-ID file names; the number itself if the district does not have it."""
    ids = dict(enumerate((camera.id for camera in district.cameras), start=1))
    return {number: ids.get(number, str(number)) for number in model.cameras.tolist()}


if __name__ == "__main__":
    run_stage(main)
