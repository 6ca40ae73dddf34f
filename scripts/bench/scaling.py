"""The cost of a training step on paper, for 1, 8 and 64 devices: python scripts/bench/scaling.py.

Nothing here is measured. The formulas count multiplications and additions of the matrix products, bytes of the
optimizer's state, and bytes that a ring all-reduce sends (Patarasuk and Yuan 2009).
"""

from dataclasses import dataclass
from pathlib import Path

from harness import Effort, Result, command

DEVICES = (1, 8, 64)
BATCH_SIZE, LENGTH = 32, 128
"""Texts on each device, and tokens of each."""


@dataclass(frozen=True)
class Shape:
    """What of a transformer decides its cost: L layers, width d, inner width f, V word vectors, P positions."""

    layers: int
    width: int
    inner: int
    vocabulary: int
    positions: int

    @property
    def matrices(self) -> int:
        """Weights that every token is multiplied with: L (4 d^2 + 2 d f)."""
        return self.layers * (4 * self.width**2 + 2 * self.width * self.inner)

    @property
    def parameters(self) -> int:
        """All weights but biases and normalisation, which are a thousandth: the matrices and (V + P) d."""
        return self.matrices + (self.vocabulary + self.positions) * self.width


@dataclass(frozen=True)
class Cluster:
    """What a device does: FLOP/s that matrix products reach, bytes/s to others in its machine and to other machines."""

    flops: float = 0.4 * 312e12
    inside: float = 300e9
    between: float = 25e9
    devices_a_machine: int = 8


SHAPES = {
    "MiniLM-L6": Shape(6, 384, 1536, 30_522, 512),
    "BERT base": Shape(12, 768, 3072, 30_522, 512),
    "XLM-R large": Shape(24, 1024, 4096, 250_002, 514),
}


def forward_flops(shape: Shape, length: int) -> int:
    """Return FLOPs for each token, forward: two for each weight, and 4 T d a layer for scores and their use."""
    return 2 * shape.matrices + 4 * shape.layers * length * shape.width


def training_flops(shape: Shape, length: int) -> int:
    """Return FLOPs for each token of a training step: the backward pass takes twice the forward pass."""
    return 3 * forward_flops(shape, length)


def mixing_flops(shape: Shape) -> int:
    """Return FLOPs for each token of mixing at the embedding: three a number for the lerp, and as many backwards."""
    return 6 * shape.width


def state_bytes(shape: Shape) -> int:
    """Return bytes of weights, gradients and AdamW's two moments, all float32, under bfloat16 autocast too."""
    return 16 * shape.parameters


def optimizer_traffic(shape: Shape) -> int:
    """Return bytes that a fused AdamW step moves: it reads those four and writes three of them."""
    return 28 * shape.parameters


def all_reduce_bytes(shape: Shape, devices: int) -> float:
    """Return bytes that each device sends to average float32 gradients: 2 (G - 1) / G of them, once a step."""
    return 2 * (devices - 1) / devices * 4 * shape.parameters


def step(shape: Shape, devices: int, cluster: Cluster) -> Result:
    """Return milliseconds and shares of a step; DDP sends gradients while the backward pass goes on."""
    tokens = BATCH_SIZE * LENGTH
    compute = tokens * training_flops(shape, LENGTH) / cluster.flops
    speed = cluster.inside if devices <= cluster.devices_a_machine else cluster.between
    sending = all_reduce_bytes(shape, devices) / speed
    seconds = compute / 3 + max(2 * compute / 3, sending)
    return {
        "devices": devices,
        "compute_ms": 1e3 * compute,
        "all_reduce_mb": all_reduce_bytes(shape, devices) / 1e6,
        "all_reduce_ms": 1e3 * sending,
        "efficiency": compute / seconds,
        "examples_per_second": devices * BATCH_SIZE / seconds,
    }


def measure(effort: Effort, data: Path, threads: int) -> Result:  # noqa: ARG001 - every subject is called alike
    """Return the cost model's numbers."""
    cluster = Cluster()
    return {
        "batch_size": BATCH_SIZE,
        "length": LENGTH,
        "cluster": vars(cluster),
        "models": {
            name: {
                "parameters": shape.parameters,
                "matrices": shape.matrices,
                "training_flops_per_token": training_flops(shape, LENGTH),
                "mixing_share": mixing_flops(shape) / training_flops(shape, LENGTH),
                "state_mb": state_bytes(shape) / 1e6,
                "optimizer_traffic_mb": optimizer_traffic(shape) / 1e6,
                "steps": [step(shape, devices, cluster) for devices in DEVICES],
            }
            for name, shape in SHAPES.items()
        },
    }


if __name__ == "__main__":
    command(measure, __doc__)
