"""Every family that transformers classifies sequences with is proven, or refused with a reason; none is silent."""

import re

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as FAMILIES

from textmix.errors import InputError
from textmix.mixup import Mixup

# LayoutLMv2's visual backbone is detectron2, which is no package.
NOT_BUILT = {"layoutlmv2"}

REFUSED = {
    # Characters are hashed, by eight tables.
    "canine": "CanineForSequenceClassification has no vocab_size in its configuration; pass Mixup an example batch.",
}


@pytest.fixture(scope="module")
def outcomes(tiny) -> dict[str, str]:
    """What became of each family: proven, not built, or the reason it is refused with."""
    found = {}
    for family in FAMILIES:
        try:
            model = tiny(family)
        except ImportError:
            found[family] = "not built"
            continue
        try:
            mixup = Mixup(model)
        except InputError as error:
            found[family] = str(error)
        else:
            assert mixup.paths, family
            found[family] = "proven"
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
        assert (hooks > 0) == (found[family] == "proven"), family
    return found


def test_all_but_the_named_families_are_built(outcomes):
    assert {family for family, outcome in outcomes.items() if outcome == "not built"} == NOT_BUILT


def test_all_but_the_named_families_are_proven(outcomes):
    proven = {family for family, outcome in outcomes.items() if outcome == "proven"}
    assert len(proven) >= 115
    refused = {family: outcome for family, outcome in outcomes.items() if outcome not in ("proven", "not built")}
    assert refused == REFUSED


def test_a_refusal_is_one_sentence(outcomes):
    for outcome in outcomes.values():
        assert "\n" not in outcome
        assert not re.search(r"\.\s+[A-Z]", outcome)
