from importlib.util import find_spec

import pytest
import torch
from checkpoints_kit import checkpoint

from textmix.config import Config, DataConfig, ModelConfig, PeftConfig
from textmix.data import load_splits
from textmix.errors import InputError
from textmix.models.adapters import merge_adapters
from textmix.models.build import build_model

if find_spec("peft") is None:
    pytest.skip("needs peft (textmix[peft])", allow_module_level=True)


def adapted(folder, topics, family="bert", labels=None, **peft):
    config = Config(
        data=DataConfig(path=str(topics), max_length=32),
        model=ModelConfig(name="pretrained", path=str(checkpoint(folder / family, family, labels))),
        peft=PeftConfig(kind="lora", r=2, **peft),
    )
    return build_model(config, load_splits(config))


@pytest.mark.parametrize(
    ("family", "head"), [("bert", "classifier"), ("distilbert", "pre_classifier"), ("gpt2", "score")]
)
def test_adapters_and_everything_new_are_trained_and_nothing_else(tmp_path, topics, family, head):
    model = adapted(tmp_path, topics, family)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name in trained if head in name}
    assert all("lora_" in name or not name.startswith(model.base_model_prefix) for name in trained)
    assert {name for name in trained if "lora_" in name}
    assert model.num_parameters(only_trainable=True) < model.num_parameters() / 2


def test_merged_adapters_give_the_same_logits_in_a_plain_model(tmp_path, topics):
    model = adapted(tmp_path, topics).eval()
    names = {name.replace(".base_layer", "") for name in model.state_dict() if "lora_" not in name}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zero at the start, so that nothing would be seen
                parameter.normal_()
    ids = torch.randint(4, 20, (3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        merge_adapters(model)
        after = model(input_ids=ids).logits
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)
    assert set(model.state_dict()) == names


def test_modules_can_be_chosen(tmp_path, topics):
    model = adapted(tmp_path, topics, target_modules=("query", "value"))
    adapted_layers = {
        name.split(".lora_")[0].rsplit(".", 1)[1] for name, _ in model.named_parameters() if "lora_" in name
    }
    assert adapted_layers == {"query", "value"}


def test_modules_that_are_not_there_are_refused(tmp_path, topics):
    with pytest.raises(InputError, match=r"peft.target_modules: \['nothing'\] does not fit BertFor") as error:
        adapted(tmp_path, topics, target_modules=("nothing",))
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:Model has .tie_word_embeddings=True")  # peft's, who goes on
def test_modules_that_share_their_weight_are_refused(tmp_path, topics):
    """Merged into it, what each of them learnt would become part of the others."""
    with pytest.raises(InputError, match=r"peft.target_modules: expected modules .* that .*shared and ") as error:
        adapted(tmp_path, topics, "bart", target_modules=("embed_tokens",))
    assert all(f"{half}.embed_tokens" in str(error.value) for half in ("encoder", "decoder"))


def test_a_model_that_adapters_break_is_refused(tmp_path, topics):
    """PhiMoE's router returns a tuple where peft expects a tensor."""
    with pytest.raises(InputError, match=r"peft.kind: Phimoe\w* fails with adapters in it \('tuple' object"):
        adapted(tmp_path, topics, "phimoe")


def test_adapters_need_something_pretrained():
    with pytest.raises(InputError, match=r"peft.kind: expected none for model.name cnn"):
        Config(peft=PeftConfig(kind="lora"))
