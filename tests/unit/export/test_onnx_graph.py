import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from domain.model_card import ModelCard
from export.half_precision import to_half
from export.onnx_graph import EngineNetwork, network_graph

CARD = ModelCard(
    task="detector",
    architecture="mish",
    input_height_px=1,
    input_width_px=256,
    resize="letterbox",
    output_names=("boxes", "scores"),
    class_names=("person",),
    district="none",
)
PIXELS = np.tile(np.arange(256, dtype=np.uint8)[None, None, :, None], (2, 1, 1, 3))
INPUTS = torch.linspace(-128, 127, 256, dtype=torch.float64)  # of Mish, which the pixels give rise to


class MishOfPixels(nn.Module):
    """Mish of values from -128 to 127: far beyond where the exponential overflows."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Conv2d(3, 1, 1)
        nn.init.constant_(self.spread.weight, 255 / 3)
        nn.init.constant_(self.spread.bias, -128)
        self.after = nn.Conv2d(1, 1, 1)
        nn.init.constant_(self.after.weight, 1)
        nn.init.constant_(self.after.bias, 0)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        values = self.after(nn.functional.mish(self.spread(images)))
        return values + 0, values + 1


@pytest.mark.slow
def test_mish_is_torchs_also_where_the_exponential_overflows() -> None:
    graph = network_graph(EngineNetwork(MishOfPixels(), CARD), "")
    found, _ = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"images": PIXELS})
    np.testing.assert_allclose(found[0, 0, 0], nn.functional.mish(INPUTS), atol=2e-5, rtol=1e-6)


@pytest.mark.slow
def test_mish_holds_in_half_precision() -> None:
    half = to_half(network_graph(EngineNetwork(MishOfPixels(), CARD), ""))
    assert "Exp" in {node.op_type for node in half.graph.node}
    found, _ = onnxruntime.InferenceSession(half.SerializeToString()).run(None, {"images": PIXELS})
    np.testing.assert_allclose(found[0, 0, 0], nn.functional.mish(INPUTS), atol=0.01, rtol=2e-3)
