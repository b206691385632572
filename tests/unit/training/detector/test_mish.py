import pytest
import torch
from torch import Tensor, nn

from training.detector.mish import Mish

WIDE = torch.cat([torch.linspace(-200, 200, 4001), torch.linspace(-6, 6, 4001), torch.tensor([-1e30, 0.0, 1e30])])


def values_and_gradients(activation: nn.Module, inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    leaf = inputs.clone(memory_format=torch.preserve_format).requires_grad_()
    outputs = activation(leaf)
    (outputs * weights).sum().backward()
    assert leaf.grad is not None
    return outputs.detach(), leaf.grad


def test_it_is_torchs_in_value_and_gradient_from_deep_below_to_far_above_zero() -> None:
    weights = torch.linspace(-3, 3, len(WIDE))
    found, gradient = values_and_gradients(Mish(), WIDE, weights)
    wanted, wanted_gradient = values_and_gradients(nn.Mish(), WIDE.double(), weights.double())
    torch.testing.assert_close(found.double(), wanted, atol=2e-6, rtol=1e-6)
    torch.testing.assert_close(gradient.double(), wanted_gradient, atol=5e-6, rtol=1e-6)


def test_the_comparison_would_notice_another_activation() -> None:
    wanted, _ = values_and_gradients(nn.Mish(), WIDE, torch.ones(len(WIDE)))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(nn.functional.silu(WIDE), wanted, atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("gradients_format", [torch.contiguous_format, torch.channels_last])
def test_values_stay_in_their_places_in_either_order_of_memory(
    memory_format: torch.memory_format, gradients_format: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (3, 16, 70, 80)  # more than a part
    inputs = torch.randn(shape, generator=generator).to(memory_format=memory_format)
    weights = torch.randn(shape, generator=generator).to(memory_format=gradients_format)
    found, gradient = values_and_gradients(Mish(), inputs, weights)
    wanted, wanted_gradient = values_and_gradients(nn.Mish(), inputs, weights)
    assert found.stride() == inputs.stride()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(gradient, wanted_gradient)


def test_every_second_channel_of_something_larger_is_right_too() -> None:
    larger = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Mish()(larger[:, ::2]), nn.functional.mish(larger[:, ::2]))


def test_half_precision_and_nothing_at_all_go_through() -> None:
    half = torch.linspace(-4, 4, 9, dtype=torch.bfloat16)
    assert torch.equal(Mish()(half), nn.functional.mish(half))
    assert Mish()(torch.zeros(0, 4, 3, 3)).shape == (0, 4, 3, 3)
