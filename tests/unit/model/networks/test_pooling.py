import pytest
import torch

from model.networks.pooling import POOLING, average, average_plus_max, gem, maximum, pooled_channels, second_moment

MAP = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[-4.0, -2.0], [0.0, -2.0]]]])  # (1, 2, 2, 2)


def test_average_is_the_mean_over_positions():
    assert average(MAP).tolist() == [[3.0, -2.0]]


def test_average_plus_max_is_the_sum_of_both():
    assert average_plus_max(MAP).tolist() == [[3.0 + 6.0, -2.0 + 0.0]]


def test_gem_is_the_cube_root_of_the_mean_cube():
    pooled = gem(MAP).tolist()[0]
    assert pooled[0] == pytest.approx(((1 + 8 + 27 + 216) / 4) ** (1 / 3))  # the cube root of 63, 3.979
    assert pooled[1] == pytest.approx(1e-6, rel=1e-3)  # nothing above zero


def test_gem_takes_what_is_not_positive_for_nothing():
    assert gem(torch.tensor([[[[2.0, -50.0]]]])).item() == pytest.approx((8 / 2) ** (1 / 3))


def test_gem_goes_from_the_mean_to_the_maximum():
    features = MAP[:, :1]
    assert gem(features, 1.0).item() == pytest.approx(average(features).item())
    assert gem(features, 30.0).item() == pytest.approx(6.0, rel=0.05)


def test_the_gradient_of_gem_is_right_and_finite_where_all_is_negative():
    assert torch.autograd.gradcheck(gem, (torch.rand(2, 3, 2, 2, dtype=torch.float64) + 0.1).requires_grad_())
    features = MAP.clone().requires_grad_()
    gem(features).sum().backward()
    assert features.grad.isfinite().all()
    assert torch.equal(features.grad[0, 1], torch.zeros(2, 2))


def test_every_pooling_gives_one_vector_an_image_whatever_the_shape():
    for name, pool in POOLING.items():
        length = 5 * 6 // 2 if name == "second_moment" else 5
        assert pool(torch.randn(3, 5, 2, 7)).shape == (3, length)
        assert pooled_channels(name, 5) == length


def test_max_is_the_largest_over_positions():
    assert maximum(MAP).tolist() == [[6.0, 0.0]]


def test_second_moment_by_hand():
    # squares of the first channel 1, 4, 9, 36; products -4, -4, 0, -12; squares of the second 16, 4, 0, 4
    assert second_moment(MAP)[0].tolist() == pytest.approx([50 / 4, 2**0.5 * -20 / 4, 24 / 4])


def test_the_dot_product_of_two_second_moments_is_the_mean_square_of_their_positions_dot_products():
    one, two = torch.randn(1, 4, 2, 3, dtype=torch.float64), torch.randn(1, 4, 3, 3, dtype=torch.float64)
    squares = [
        float(one[0, :, y, x] @ two[0, :, v, u]) ** 2 for y in range(2) for x in range(3) for v in range(3) for u in range(3)
    ]
    assert (second_moment(one) @ second_moment(two).T).item() == pytest.approx(sum(squares) / len(squares))


@pytest.mark.parametrize("name", ["average", "max", "average_plus_max", "second_moment"])
def test_the_gradient_of_every_other_pooling_is_right(name):
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(POOLING[name], (torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True),))
