"""Random and damaged input: a right answer or one sentence, never a traceback and never a hang."""

import io
import json
import random
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from accelerate import Accelerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textmix.command import make_parser, parse
from textmix.config import Config, DataConfig, MixupConfig, ModelConfig, TrainConfig
from textmix.data import load_splits
from textmix.data.readers import Wanted, read_file
from textmix.engine import checkpoint, fit
from textmix.errors import InputError
from textmix.mixup import Mixup
from textmix.models.build import build_model
from textmix.options import CompareConfig, EvaluateConfig, EvaluateModelConfig, PredictConfig
from textmix.predict.tables import read_tables
from textmix.predictions import Predictions, load, save
from textmix.run_folder import is_finished

LIGHT = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
FLIPS = 500
"""Damaged copies of each of four files."""


def one_sentence(error: InputError, of: object = "") -> None:
    told = str(error)
    assert told.startswith(str(of))
    assert told.strip(" .:")
    assert "Traceback" not in told


# Configurations, through the real parser.

KEYS = [
    f"{section}.{key}" for section, part in vars(Config()).items() if hasattr(part, "__dict__") for key in vars(part)
]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.integers(-2, 300),
    st.sampled_from(["none", "cnn", "embedding", "balanced", "1e-3", "nan", "[1", "packaged:tweets", "\0", "\ud800"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from([*KEYS, *vars(Config())]) | st.text(max_size=8)


def nested(flat):
    """Unfold dotted keys, as a person writes them."""
    result = {}
    for key, value in flat.items():
        section, _, name = key.partition(".")
        if name and isinstance(result.setdefault(section, {}), dict):
            result[section][name] = value
        elif not name:
            result[key] = value
    return result


@cache
def parser(kind):
    return make_parser(kind, "t", "")


def read(kind, path):
    try:
        options, _ = parse(parser(kind), kind, ["--config", str(path)])
    except InputError as error:
        one_sentence(error)
    else:
        assert isinstance(options, kind)


@LIGHT
@given(flat=st.dictionaries(keys, values, max_size=4))
def test_any_configuration_is_read_or_refused(tmp_path_factory, flat):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(yaml.safe_dump(nested(flat)).encode(errors="replace"))
    read(Config, path)


@LIGHT
@given(data=st.one_of(st.binary(max_size=60), st.text("{}[]:,-&*!|>#'\"\n ab1%@`?~", max_size=60).map(str.encode)))
def test_any_bytes_as_a_configuration_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(data)
    for kind in (Config, EvaluateModelConfig):
        read(kind, path)
    folder = tmp_path_factory.getbasetemp() / "fuzz-run"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(path, folder / "config.yaml")
    with pytest.raises(InputError):
        is_finished(folder, Config())


words = st.lists(
    st.sampled_from(["--seed", "--config", "--bins", "--mixup.alpha", "--train", "--data.path=", "--=", "x", "1", ""])
    | st.text(max_size=6),
    max_size=5,
)  # fmt: skip


@LIGHT
@given(argv=words.filter(lambda argv: not {"-h", "--help", "-"} & {word.split("=")[0] for word in argv}))
@pytest.mark.parametrize("kind", [Config, EvaluateConfig, CompareConfig, PredictConfig])
def test_any_command_line_is_read_or_refused(kind, argv):
    try:
        parse(parser(kind), kind, argv)
    except InputError as error:
        one_sentence(error)


# Files of predictions, whatever is in them.

cells = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["a", "b", 0, 1])
)
names = st.sampled_from(["id", "label", "text", "logit_a", "logit_b", "prob_a", "prob_b", "prediction"]) | st.text(
    max_size=6
)


@LIGHT
@given(rows=st.lists(st.dictionaries(names, cells | st.lists(cells, max_size=2), max_size=6), max_size=5))
def test_any_rows_as_jsonl_are_read_or_refused(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_bytes("\n".join(map(json.dumps, rows)).encode(errors="replace"))
    loads(path)


@LIGHT
@given(header=st.lists(names, max_size=6), rows=st.lists(st.lists(cells.map(str), max_size=6), max_size=5))
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_any_rows_as_csv_are_read_or_refused(tmp_path_factory, kind, header, rows):
    mark = "," if kind == "csv" else "\t"
    path = tmp_path_factory.getbasetemp() / f"fuzz.{kind}"
    path.write_bytes("\n".join(mark.join(row) for row in [header, *rows]).encode(errors="replace"))
    loads(path)
    loads(path, columns=("logit_a", "logit_b"))
    reads(path)


arrays = st.sampled_from(
    ["?", "i1", "u8", ">i4", "f2", ">f8", "g", "c8", "U3", ">U2", "S2", "M8[s]", "O", "V3"]
).flatmap(lambda dtype: st.sampled_from([(), (2,), (3,), (2, 2), (0,)]).map(lambda shape: np.zeros(shape, dtype)))


@LIGHT
@given(
    columns=st.dictionaries(names.filter(lambda name: name and "/" not in name and name != "file"), arrays, max_size=5)
)
def test_any_arrays_as_npz_are_read_or_refused(tmp_path_factory, columns):
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    with path.open("wb") as file:
        np.savez(file, **columns)
    loads(path)


types = st.sampled_from([
    pa.string(), pa.binary(), pa.float16(), pa.float64(), pa.int8(), pa.uint64(), pa.bool_(), pa.null(),
    pa.timestamp("s"), pa.list_(pa.int8()), pa.decimal128(30, 2), pa.large_string(),
])  # fmt: skip


@LIGHT
@given(columns=st.lists(st.tuples(names, types), max_size=6), count=st.integers(0, 3))
def test_any_columns_as_parquet_are_read_or_refused(tmp_path_factory, columns, count):
    path = tmp_path_factory.getbasetemp() / "fuzz.parquet"
    made = [pa.nulls(count, kind) if k % 2 else filled(kind, count) for k, (_, kind) in enumerate(columns)]
    pq.write_table(pa.Table.from_arrays(made, names=[name for name, _ in columns]), path)
    loads(path)
    reads(path)


def filled(kind, count):
    value = {pa.string(): "a", pa.large_string(): "b", pa.binary(): b"\xff", pa.list_(pa.int8()): [1]}.get(kind, 1)
    return pa.nulls(count, kind) if kind == pa.null() else pa.array([value] * count).cast(kind)


def loads(path, **options):
    for source in ("logits", "probabilities"):
        try:
            read = load(path, source=source, **options)
        except InputError as error:
            one_sentence(error, of=path)
        else:
            assert np.isfinite(read.logits).all()
            assert len(read.ids) == len(read.labels) == len(read.logits)


def reads(path):
    """Read the same file as examples to train on, and as rows to predict."""
    for rows in (
        lambda: read_file(path, Wanted(("text", "logit_a"), None, ("label", "logit_b"))),
        lambda: read_tables(path, 100, "utf-8"),
    ):
        try:
            for batch in rows():
                batch.to_pylist()
        except InputError as error:
            one_sentence(error)


# Damaged files: bytes flipped, cut out and put in.


def damaged(whole: bytes, rng: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        kind, at = rng.random(), rng.randrange(len(data))
        if kind < 0.6:
            data[at] ^= 1 << rng.randrange(8)
        elif kind < 0.8:
            data[at : at + 4] = rng.randbytes(4)
        elif kind < 0.9:
            del data[at : at + rng.randrange(1, 40)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        if not data:
            break
    return bytes(data)


@pytest.fixture(scope="module")
def predictions(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("predictions") / "p.parquet"
    texts = [f"text {i} \N{GRINNING FACE}" for i in range(40)]
    ids = [f"id-{i}" for i in range(40)]
    save(Predictions(rng.normal(size=(40, 3)), rng.integers(0, 3, 40), ("a", "b", "c"), ids, texts), path)
    return path


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_damaged_predictions_are_refused_or_read(predictions, tmp_path, kind):
    whole = predictions.read_bytes()
    if kind == "npz":
        table = pq.read_table(predictions)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, **{n: np.array(table[n].to_pylist()) for n in ("label", "logit_a", "logit_b", "logit_c")}
        )
        whole = buffer.getvalue()
    rng, refused, path = random.Random(1), 0, tmp_path / f"p.{kind}"
    for _ in range(FLIPS):
        path.write_bytes(damaged(whole, rng))
        try:
            load(path)
        except InputError as error:
            one_sentence(error)
            refused += 1
    assert refused > FLIPS / 4


def test_damaged_data_are_refused_or_read(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b"])})
    rows = {"text": [f"some text {i}" for i in range(40)], "label": [0, 1] * 20}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "whole.parquet")
    whole, rng, path = (tmp_path / "whole.parquet").read_bytes(), random.Random(2), tmp_path / "d.parquet"
    refused = 0
    for _ in range(FLIPS):
        path.write_bytes(damaged(whole, rng))
        try:
            for batch in read_file(path, Wanted("text", None, "label")):
                batch.to_pylist()
        except InputError as error:
            one_sentence(error)
            refused += 1
    assert refused > FLIPS / 4


def test_a_damaged_checkpoint_is_never_taken_for_a_whole_one(topics, tmp_path):
    """Every file of it, the manifest among them."""
    config = Config(
        data=DataConfig(path=str(topics)),
        model=ModelConfig(embedding_dim=4, num_filters=2),
        mixup=MixupConfig(alpha=0),
        train=TrainConfig(epochs=1, batch_size=64, max_steps=1),
    )
    splits = load_splits(config)
    model = build_model(config, splits)
    fit(Accelerator(), model, Mixup(model, "none"), splits, config, tmp_path)
    folder = tmp_path / "checkpoints"
    [step] = checkpoint.steps(folder)
    files = sorted(checkpoint.place(folder, step).iterdir())
    rng, unseen = random.Random(3), 0
    for _ in range(FLIPS):
        path = rng.choice(files)
        whole = path.read_bytes()
        data = damaged(whole, rng)
        path.write_bytes(data)
        if data != whole and checkpoint.problem(path.parent) is None:
            assert path.name == checkpoint.MANIFEST  # between whose words a blank says nothing
            assert json.loads(data) == json.loads(whole)
            unseen += 1
        path.write_bytes(whole)
    assert checkpoint.problem(checkpoint.place(folder, step)) is None
    assert unseen < FLIPS / 20
