"""DELG's local features: an attention score and a short descriptor for every position of a map."""

import torch.nn.functional as F
from torch import Tensor, nn

DIMENSIONS = 128


class AttentiveAutoencoder(nn.Module):
    """Scores of a map's positions, high where they show the image's class, and descriptors of 128 dimensions.

    The score is softplus(conv1(relu(conv512(x)))). The descriptors are a 1x1 convolution to 128 channels, and a second 1x1
    convolution restores the map from them. A classifier of the restored map, averaged with the scores as weights, trains the
    scores (Cao et al., DELG, ECCV 2020, section 3.3). The network passes the map without gradient, so the trunk is not trained
    by this part.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Conv2d(channels, 512, 1), nn.ReLU(), nn.Conv2d(512, 1, 1), nn.Softplus())
        self.encoder = nn.Conv2d(channels, DIMENSIONS, 1)
        self.decoder = nn.Conv2d(DIMENSIONS, channels, 1)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Features (B, C, H, W) -> `attended` (B, C), and `reconstruction_error` (B,): the mean square over the map."""
        restored = self.decoder(self.encoder(features))
        scores = self.attention(features)  # (B, 1, H, W)
        attended = (scores * restored).sum(dim=(2, 3)) / scores.sum(dim=(2, 3)).clamp_min(1e-6)
        return {"attended": attended, "reconstruction_error": (restored - features).square().mean(dim=(1, 2, 3))}

    def local_descriptors(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, H, W) -> descriptors (B, H, W, 128), L2-normalised, and scores (B, H, W), above 0."""
        return F.normalize(self.encoder(features).permute(0, 2, 3, 1), dim=-1), self.attention(features)[:, 0]
