"""Train a classifier: the whole way from a configuration to a run folder.

``accelerate launch textmix/train.py --config FILE``, ``python textmix/train.py ...`` and ``textmix train ...`` are the
same program.
"""

import sys
from pathlib import Path
from typing import Any

from textmix.config import Config


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Train, predict and report as `config` says, leave it all in `folder`, and return the summary.

    :raises InputError: the configuration, the data or the model can't be used; nothing is written then.
    :raises RunError: the training can't go on.
    """
    # Imported here, so that --help answers without torch.
    from textmix import run_folder
    from textmix.data import load_splits
    from textmix.engine import fit, predict, seed_torch, start
    from textmix.export import save_model
    from textmix.mixup import Mixup
    from textmix.models.build import build_model
    from textmix.predictions import save
    from textmix.metrics import CalibrationState

    accelerator = start(config.train)
    with accelerator.main_process_first():  # the others find its tokens in the cache
        splits = load_splits(config)
    seed_torch(config.seed)
    model = build_model(config, splits)
    mixup = Mixup(model, config.mixup.site if config.mixup.active else "none")
    run_folder.begin(folder, config)
    result = fit(accelerator, model, mixup, splits, config, folder)
    print(result)
    test = predict(accelerator, model, splits.test, splits, config.train.eval_batch_size)
    for T in (1,):
        s = CalibrationState(15); s.update(test.logits, test.labels); print({k: round(v, 4) for k, v in s.compute().items()})
    (folder / "predictions").mkdir(exist_ok=True)
    save(test, folder / "predictions/test.parquet")
    save_model(model, splits.processor, folder / "model")
    return {}


if __name__ == "__main__":
    from textmix.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
