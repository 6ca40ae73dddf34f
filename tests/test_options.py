import subprocess
import sys

import pytest

from textmix.errors import InputError
from textmix.options import CompareConfig, EvaluateConfig, PredictConfig


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


def test_options_import_nothing_heavy():
    program = "import sys, textmix.options; print([m for m in ('torch', 'matplotlib', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
