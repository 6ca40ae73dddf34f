import dataclasses
import inspect
import subprocess
import sys

import pytest

from textmix import config, options
from textmix.config import DataConfig, LossConfig, MixupConfig, TrainConfig
from textmix.errors import InputError
from textmix.options import CompareConfig, EvaluateConfig, PredictConfig

SECTIONS = {kind for module in (config, options) for kind in vars(module).values() if dataclasses.is_dataclass(kind)}
NEEDED = {EvaluateConfig: {"file": "p.parquet"}, options.SweepConfig: {"methods": {"none": {}}}}
WITH_CHOICES = [
    (kind, field.name)
    for kind in sorted(SECTIONS, key=lambda kind: kind.__name__)
    for field in dataclasses.fields(kind)
    if "Literal[" in inspect.formatannotation(field.type)
]


@pytest.mark.parametrize("encoding", ["utf-9", "base64"])
def test_what_is_no_encoding_of_text_is_refused(encoding):
    with pytest.raises(InputError, match=f"encoding: expected one such as utf-8 or latin-1, got '{encoding}'"):
        PredictConfig(model="m", input="a.csv", output="b.csv", encoding=encoding)


@pytest.mark.parametrize(
    ("field", "value"), [("bins", 0), ("bins", 10_001), ("resamples", 10), ("resamples", 10**7), ("seed", -1)]
)
def test_values_out_of_bounds_are_refused(field, value):
    message = f"{field}: expected an integer .*, got {value}"
    with pytest.raises(InputError, match=message):
        EvaluateConfig(file="p.parquet", **{field: value})
    with pytest.raises(InputError, match=message):
        CompareConfig(paths=("a", "b"), **{field: value})


@pytest.mark.parametrize(("kind", "field"), WITH_CHOICES)
def test_a_choice_that_there_is_not_is_refused(kind, field):
    for value in ("nonsense", 3):
        with pytest.raises(InputError, match=rf"^([a-z]+\.)?{field}: expected \w+.* or .*, got {value!r}\.$"):
            kind(**NEEDED.get(kind, {}), **{field: value})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixupConfig(labels="Dominant"), r"mixup\.labels: expected soft or dominant, got 'Dominant'\."),
        (lambda: MixupConfig(labels=None), r"mixup\.labels: expected soft or dominant, got None\."),
        (lambda: TrainConfig(select="best"), r"train\.select: expected .*, accuracy, last or null, got 'best'\."),
        (lambda: LossConfig(class_weights="Balanced"), r"loss\.class_weights: expected none, balanced or a list, got"),
        (lambda: DataConfig(augment="crop"), r"data\.augment: expected a list of crop, flip or resized_crop, got"),
        (
            lambda: DataConfig(augment=("crop", "Flip")),
            r"data\.augment: expected a list of .*, got \('crop', 'Flip'\)\.",
        ),
    ],
)
def test_choices_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_what_may_stand_beside_choices_is_taken():
    assert TrainConfig(select=None).select is None
    assert LossConfig(class_weights=[1, 2.5]).class_weights == [1, 2.5]
    assert DataConfig(augment=["crop", "flip"]).augment == ["crop", "flip"]


def test_options_import_nothing_heavy():
    program = "import sys, textmix.options; print([m for m in ('torch', 'matplotlib', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
