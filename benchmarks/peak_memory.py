"""The peak memory of a whole training, and its growth with the data.

    python -m benchmarks.peak_memory frozen DATASET     # MB, of a training of one epoch on a folder with a manifest

Private memory is measured (`benchmarks.private_memory`). `benchmarks.training` reports the ratio.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.drawn_images import draw_data
from benchmarks.private_memory import PrivatePeak
from model.config import ModelConfig, TrainConfig
from model.progress import print_progress
from model.training.train import train


def memory_ratio(mode: str, folder: Path, images: int) -> dict[str, float | str]:
    """Peak private memory of a training with one and with ten times the data, each in its own process."""
    peaks = []
    for count in (images, 10 * images):
        data = folder / f"memory{count}"
        if not data.is_dir():
            data.mkdir()
            draw_data(data, count, size=96)
        command = [sys.executable, "-m", "benchmarks.peak_memory", mode, str(data)]
        peaks.append(float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]))
        print_progress(count, 10 * images, f"images, {mode}: {peaks[-1]:.0f} MB at the peak")
    return {"case": mode, "mb": peaks[0], "mb_at_ten_times": peaks[1], "ratio": peaks[1] / peaks[0]}


def peak_of(mode: str, dataset: Path) -> float:
    """Peak private memory, in MB, of a training of one epoch in this process."""
    config = TrainConfig(trunk=mode, epochs=1, warmup_epochs=0, device="cpu")
    with PrivatePeak() as peak, tempfile.TemporaryDirectory() as work:
        train(dataset, ModelConfig(image_size=64), config, data_md5=str(dataset), work=Path(work), out=Path(work) / "out")
    return peak.bytes / 2**20


if __name__ == "__main__":
    print(peak_of(sys.argv[1], Path(sys.argv[2])))
