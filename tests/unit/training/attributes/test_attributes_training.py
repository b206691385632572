"""The attribute network, its loss, and a training of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy

from domain.errors import ArtifactError
from domain.model_card import ModelCard, read_card, write_card
from domain.schemas import read_schema
from tests.helpers.crops import small_settings, write_attribute_set
from training.attributes.losses import GroupedCrossEntropy, build_loss
from training.attributes.network import build_attribute_network, group_probabilities, load_attributes
from training.attributes.operating_point import fit_temperatures
from training.attributes.train import AttributeSettings, choose_schema, main, train_attributes

SCHEMA = read_schema("suseong_no_colour")


def settings(**changes: object) -> AttributeSettings:
    values = small_settings("attributes", "osnet", architecture="osnet_x0_25", batch=16, lr=0.003, max_epochs=8)
    return AttributeSettings.model_validate({**values, **changes})


def logits_and_labels(images: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = {g.name: torch.randn(images, len(g.labels), generator=generator) for g in SCHEMA.groups}
    labels = torch.stack([torch.randint(-1, len(g.labels), (images,), generator=generator) for g in SCHEMA.groups], 1)
    return logits, labels


def test_there_is_a_head_for_each_group() -> None:
    logits = build_attribute_network("osnet_x0_25", SCHEMA).eval()(torch.rand(2, 3, 64, 32))
    assert {name: part.shape for name, part in logits.items()} == {g.name: (2, len(g.labels)) for g in SCHEMA.groups}
    torch.testing.assert_close(group_probabilities(logits).sum(1), torch.full((2,), float(len(SCHEMA.groups))))


def test_the_loss_is_the_mean_over_groups_of_what_is_known() -> None:
    logits, labels = logits_and_labels(images=20)
    expected = [cross_entropy(part, labels[:, i], ignore_index=-1) for i, part in enumerate(logits.values())]
    torch.testing.assert_close(GroupedCrossEntropy()(logits, labels), torch.stack(expected).mean())


def test_unknown_labels_have_no_say() -> None:
    logits, labels = logits_and_labels(images=20)
    loss = GroupedCrossEntropy()(logits, labels)
    for index, part in enumerate(logits.values()):
        part[labels[:, index] == -1] += 9 * torch.arange(part.shape[1])
    torch.testing.assert_close(GroupedCrossEntropy()(logits, labels), loss)
    nothing = GroupedCrossEntropy()(logits, torch.full_like(labels, -1))
    assert nothing == 0


def test_rare_labels_weigh_more_by_effective_number_and_easy_pictures_less_by_focus() -> None:
    logits, labels = logits_and_labels(images=20)
    for name in ("effective_number", "focal"):
        loss = build_loss(name, SCHEMA, labels.numpy())(logits, labels)  # type: ignore[arg-type]
        assert torch.isfinite(loss)
        assert loss != build_loss("none", SCHEMA, labels.numpy())(logits, labels)
    weighted = build_loss("effective_number", SCHEMA, labels.numpy())
    first = SCHEMA.groups[0].name
    weights = weighted.get_buffer("weights_0")
    expected = cross_entropy(logits[first], labels[:, 0], weights, ignore_index=-1)
    torch.testing.assert_close(weighted({first: logits[first]}, labels[:, :1]), expected)
    counts = np.bincount(labels[:, 0][labels[:, 0] >= 0].numpy(), minlength=len(weights))
    assert weights[counts.argmin()] == weights.max()


@pytest.mark.slow
def test_clothes_are_learnt_and_the_schema_is_the_districts(tmp_path: Path) -> None:
    write_attribute_set(tmp_path / "town", num_images=96)
    schema = choose_schema(settings(), tmp_path / "town")
    assert schema.group_names == ("upper", "lower")
    assert choose_schema(settings(schema="pa100k"), tmp_path / "town").name == "pa100k"
    curves: dict[str, float] = {}
    network, temperatures = train_attributes(
        settings(), tmp_path / "town", schema, 0, tmp_path / "ckpt", lambda values, _: curves.update(values)
    )
    assert curves["val/instance_f1"] > 0.7
    assert temperatures.keys() == {"upper", "lower"}
    assert not network.training


def test_temperatures_undo_what_logits_were_multiplied_by() -> None:
    generator = torch.Generator().manual_seed(5)
    honest = {"upper": torch.randn(20000, 4, generator=generator), "lower": torch.randn(20000, 2, generator=generator)}
    drawn = [torch.multinomial(part.softmax(1), 1, generator=generator)[:, 0] for part in honest.values()]
    labels = torch.stack(drawn, 1)
    labels[::5, 0] = -1
    scaled = {"upper": 3 * honest["upper"], "lower": 0.25 * honest["lower"], "never known": torch.zeros(20000, 2)}
    temperatures = fit_temperatures(scaled, torch.cat([labels, torch.full((20000, 1), -1)], 1))
    assert temperatures == pytest.approx({"upper": 3, "lower": 0.25, "never known": 1}, rel=0.05)


def test_being_right_on_every_picture_of_a_small_split_does_not_make_certain() -> None:
    labels = torch.zeros(20, 1, dtype=torch.long)
    logits = torch.tensor([[2.0, 0.0]]).repeat(20, 1)
    temperature = fit_temperatures({"coat": logits}, labels)["coat"]
    confidence = (logits[0] / temperature).softmax(0)[0]
    assert confidence == pytest.approx(1 - 1 / 42, abs=1e-3)  # 20 right ones, and half of a doubt of one


def test_a_cooled_network_divides_its_logits() -> None:
    network = build_attribute_network("osnet_x0_25", SCHEMA).eval()
    torch.nn.init.normal_(network.heads.bias)
    images = torch.rand(2, 3, 64, 32)
    temperatures = {group.name: 1 + place for place, group in enumerate(SCHEMA.groups)}
    before = network(images)
    network.cool(temperatures)
    for name, logits in network(images).items():
        torch.testing.assert_close(logits, before[name] / temperatures[name])


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    card = ModelCard(
        task="attributes",
        architecture="osnet_x0_25",
        input_height_px=64,
        input_width_px=32,
        resize="stretch",
        output_names=("upper",),
        district="test",
    )
    write_card(card, tmp_path)
    with pytest.raises(ArtifactError, match="must have an attribute schema; rerun train_attributes"):
        load_attributes(tmp_path)


@pytest.mark.slow
def test_the_stage_leaves_a_model_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_attribute_set(tmp_path / "data" / "town", num_images=16)
    params = {
        "seed": 1,
        "experiment_name": "test",
        "district": {"name": "town"},
        "mlflow": {"tracking_uri": f"sqlite:///{tmp_path / 'log.db'}", "experiment": "test"},
        "attributes": settings().model_dump(mode="json", by_alias=True),
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    main(["attributes.max_epochs=1", "attributes.minutes=60", "attributes.hardware.precision=auto"])
    told = capsys.readouterr().out
    assert "60 min: 1 epochs of about" in told
    assert "precision: " in told
    card = read_card(tmp_path / "models" / "town" / "attributes")
    assert card.output_names == ("upper", "lower")
    assert card.mlflow_run_id
    assert card.temperatures.keys() == {"upper", "lower"}
    outputs = load_attributes(tmp_path / "models" / "town" / "attributes")(torch.rand(2, 3, 64, 32))
    assert {name: part.shape for name, part in outputs.items()} == {"upper": (2, 3), "lower": (2, 2)}
    assert not (tmp_path / "checkpoints" / "town" / "attributes").exists()
    assert not (tmp_path / "lightning_logs").exists()
