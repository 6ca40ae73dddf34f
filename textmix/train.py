"""Train a classifier: the whole way from a configuration to a run folder.

``accelerate launch textmix/train.py --config FILE``, ``python textmix/train.py ...`` and ``textmix train ...`` are the
same program.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from textmix.command import guard, make_parser, parse
from textmix.config import NOISE_EMBEDDINGS, Config
from textmix.run_folder import run_dir


def main(argv: Sequence[str]) -> None:
    """Train a classifier and report how far its confidence can be trusted."""
    config, config_file = parse(make_parser(Config, "textmix train", str(main.__doc__)), Config, argv)
    run(config, run_dir(config, config_file))


def run(config: Config, folder: Path) -> None:
    """Train, predict and report as `config` says, and leave everything in `folder`.

    :raises InputError: the configuration, the data or the model can't be used; nothing is written then.
    :raises RunError: the training can't go on.
    """
    # Imported here, so that --help answers without torch.
    from textmix import held_out, run_folder
    from textmix.engine import fit, main_first, seed_generators, start, together, total_epochs
    from textmix.losses import check_loss
    from textmix.mixup import EmbeddingNoise, Mixup
    from textmix.models.build import build_model
    from textmix.models.example import proof_example
    from textmix.models.limits import check_tokens
    from textmix.models.padding import fit_padding, fit_padding_outside

    if run_folder.is_finished(folder, config):
        from textmix.outcome import tell

        tell(folder, "this run is finished already")
        return
    accelerator = start(config.train, some_unused=config.model.name == "pretrained")
    # The others find the tokens of the main process in the cache.
    splits, outside = main_first(accelerator, lambda: held_out.load(config))
    with together():
        check_loss(config.loss, splits.class_counts)
        config.mixup.check_epochs(total_epochs(accelerator, splits, config.train))
        seed_generators(config.seed)
        model = build_model(config, splits)
        check_tokens(model, splits.processor, *outside.values())
        splits, outside = fit_padding(model, splits), fit_padding_outside(model, outside)
        example = proof_example(splits.train)
        mixup = Mixup(model, config.mixup_site if config.mixup.active else "none", example=example)
        noise = EmbeddingNoise(model, example=example) if NOISE_EMBEDDINGS in config.eval.ood else None

    with ExitStack() as stack:
        with together():
            stack.enter_context(run_folder.working_in(folder, config, writes=accelerator.is_main_process))
        fitted = fit(accelerator, model, mixup, splits, config, folder)
        mixup.remove()
        predictions = held_out.predict_all(accelerator, model, splits, outside, noise, config)
        if accelerator.is_main_process:
            # Imported late: what draws the report takes a second, which nobody should wait for before the first step.
            from textmix import outcome
            from textmix.temperature import fit_temperature

            val = predictions["validation"]
            temperature = fit_temperature(val.logits, val.labels) if config.calibration.temperature else None
            outcome.save(folder, config, splits, model, fitted, predictions, temperature)
            outcome.tell(folder, "done")
    accelerator.end_training()


if __name__ == "__main__":
    sys.exit(guard(lambda: main(sys.argv[1:])))
