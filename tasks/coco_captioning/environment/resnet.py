"""ResNet-50 as a frozen extractor of features, for weights saved under the usual names (conv1, layer1.0.conv1, ...)."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
FEATURES = 2048


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut; the middle one carries the stride."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)
        self.downsample = None
        if stride != 1 or inputs != width * 4:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width * 4, 1, stride=stride, bias=False), nn.BatchNorm2d(width * 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """Turns pictures (N x 3 x 224 x 224, normalised) into maps of features (N x 2048 x 7 x 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for at, (blocks, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True)):
            strides = [1 if at == 0 else 2] + [1] * (blocks - 1)
            layers = [Bottleneck(inputs if not place else width * 4, width, stride) for place, stride in enumerate(strides)]
            setattr(self, f"layer{at + 1}", nn.Sequential(*layers))
            inputs = width * 4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def pretrained(weights: Path) -> ResNet50:
    """Return the network with weights from a safetensors file; its classifier (fc) is left out."""
    network = ResNet50()
    state = {name: tensor for name, tensor in load_file(weights).items() if not name.startswith("fc.")}
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"{weights} is no ResNet-50: missing {missing[:3]}, unexpected {unexpected[:3]}")
    return network.eval().requires_grad_(False)
