import pytest
import torch

from model.data.images import normalise


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_pixels_are_normalised_by_channel_and_returned_channels_last(memory_format):
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4).to(memory_format=memory_format)
    mean, std = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    found = normalise(images, mean, std)
    for channel in range(3):
        expected = (images[:, channel] / 255 - mean[channel]) / std[channel]
        torch.testing.assert_close(found[:, channel], expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
