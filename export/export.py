"""DVC stage `export`: weights of a model -> engines/<district>/<model>: ONNX, plan, card, parity, calibration."""

from collections.abc import Sequence

from domain.atomic import atomic_folder
from domain.files import sha256_of
from domain.model_card import read_card, write_card
from domain.paths import DATA, ENGINES, MODELS, configured_district
from domain.stage import run_stage
from export.engines.plan_building import build_plan
from export.match_calibration import calibrate_folder
from export.networks import load_network
from export.onnx_graph import export_onnx
from export.parity import compare, log_parity, require_within_limits, write_parity
from export.settings import ExportSettings
from export.validation import sample_of


def main(argv: Sequence[str] = ()) -> None:
    """Export one model. If its engines differ too much from torch, no engine folder is written."""
    settings = ExportSettings.from_params("export", argv)
    district = configured_district(argv)
    trained, data = MODELS.of(district) / settings.model, DATA.of(district)
    card = read_card(trained)
    network = load_network(trained, card)
    sample = sample_of(card, data, settings.parity.images, settings.predict_score_threshold)
    precisions = settings.precisions[card.task]
    with atomic_folder(ENGINES.of(district) / settings.model) as folder:
        print(f"{settings.model}: ONNX in {', '.join(precisions)}")
        engines = export_onnx(
            network,
            folder,
            settings.profile(card.task),
            sha256_of(trained / "weights.pt"),
            precisions=precisions,
            calibration_images=sample.images,
        )
        if settings.plan.builder != "none":
            print(f"{settings.model}: plan by {settings.plan.builder}")
            source = engines[precisions.index(settings.plan.precision)]
            capabilities = settings.plan.compute_capabilities
            plan = build_plan(folder, card, source, builder=settings.plan.builder, capabilities=capabilities)
            engines = (*engines, plan)
        card = card.model_copy(update={"engines": engines})
        write_card(card, folder)
        parity = compare(folder, card, network, sample, settings)
        write_parity(parity, folder)
        if card.task == "reid":
            calibrate_folder(folder, card, data, settings)
        require_within_limits(parity, settings.parity, settings.model)
    log_parity(card, parity, ENGINES.of(district) / settings.model)


if __name__ == "__main__":
    run_stage(main)
