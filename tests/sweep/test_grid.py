from pathlib import Path

import pytest

from textmix.command import make_parser, parse
from textmix.errors import InputError
from textmix.options import SweepConfig
from textmix.sweep.grid import chosen, expand, fingerprint

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "sweeps").glob("*.yaml"))
RUNS = {"alpha": 60, "data_size": 120, "minilm_methods": 72, "ood": 63, "select": 48, "text_cnn": 322,
        "text_lstm": 48, "text_minilm": 40, "vectors": 24}  # fmt: skip
SWEEP = SweepConfig(
    base={"train": {"epochs": 3}, "mixup.alpha": 0.1},
    data={"news": {"data.path": "some/news", "data.subset": "en", "eval.ood": ["some/jokes", "noise"]},
          "jokes": {"data.path": "some/jokes", "seeds": [7]}},
    sizes={"100": {"data": {"train_examples": 100}}},
    methods={"no mixup": {"mixup.alpha": 0}, "RegMixup, 0.4": {"mixup": {"alpha": 0.4, "clean_weight": 1}}},
    seeds=(0, 1),
)  # fmt: skip


def test_no_shipped_sweep_is_missed():
    assert {path.stem for path in CONFIGS} == set(RUNS)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_run_of_a_shipped_sweep_can_be_configured(path):
    sweep, _ = parse(make_parser(SweepConfig, "textmix sweep", ""), SweepConfig, ["--config", str(path)])
    runs = expand(sweep, Path("runs"))
    assert len(runs) == len({run.folder for run in runs}) == RUNS[path.stem]
    assert all(run.config.train.threads or run.config.model.name != "cnn" for run in runs)  # whatever --jobs says
    command = f"# textmix sweep --config configs/sweeps/{path.name} --jobs 2"
    assert command in path.read_text(encoding="utf-8").splitlines()


def test_every_combination_is_a_run_and_first_seeds_come_first():
    runs = expand(SWEEP, Path("sweep"))
    assert [(run.data, run.method, run.seed) for run in runs] == [
        ("news", "no mixup", 0), ("news", "RegMixup, 0.4", 0), ("news", "no mixup", 1), ("news", "RegMixup, 0.4", 1),
        ("jokes", "no mixup", 7), ("jokes", "RegMixup, 0.4", 7),
    ]  # fmt: skip
    last = runs[3]
    assert last.folder == Path("sweep/news-100/regmixup-0.4-1")
    assert (last.config.mixup.alpha, last.config.mixup.clean_weight, last.config.seed) == (0.4, 1.0, 1)
    assert (last.config.train.epochs, last.config.data.train_examples) == (3, 100)
    assert last.config.eval.ood == ("some/jokes", "noise")
    assert last.changes == {"mixup.alpha": 0.4, "mixup.clean_weight": 1}
    assert (last.model, last.size) == ("cnn", "100")


def test_local_copies_take_the_place_of_data_sets_wherever_they_are_named(tmp_path):
    for name in ("news", "jokes"):
        (tmp_path / name).mkdir()
    run = expand(SweepConfig(**{**vars(SWEEP), "data_root": str(tmp_path)}), Path("sweep"))[0]
    assert run.config.data.path == str(tmp_path / "news")
    assert run.config.data.subset is None
    assert run.config.eval.ood == (str(tmp_path / "jokes"), "noise")
    (tmp_path / "jokes").rmdir()
    with pytest.raises(InputError, match=r"data_root: expected a folder .*jokes, found none"):
        expand(SweepConfig(**{**vars(SWEEP), "data_root": str(tmp_path)}), Path("sweep"))


def test_a_sweep_of_methods_alone_is_named_after_its_data_and_model():
    [run] = expand(SweepConfig(methods={"plain": {}}, seeds=(3,)), Path("s"))
    assert (run.data, run.model, run.size, run.folder) == ("tweets", "cnn", "all", Path("s/tweets/plain-3"))


def test_only_some_are_chosen():
    runs = expand(SWEEP, Path("sweep"))
    assert {run.method for run in chosen(runs, ("no mixup",))} == {"no mixup"}
    assert [(run.data, run.method) for run in chosen(runs, ("jokes", "no mixup"))] == [("jokes", "no mixup")]
    with pytest.raises(InputError, match=r"only: expected names .*, got 'mixup 9'"):
        chosen(runs, ("jokes", "mixup 9"))


def test_the_hash_is_of_what_is_compared():
    same = SweepConfig(**{**vars(SWEEP), "jobs": 4, "data_root": "/data", "output_dir": "elsewhere"})
    assert fingerprint(same) == fingerprint(SWEEP)
    assert fingerprint(SweepConfig(**{**vars(SWEEP), "seeds": (0, 1, 2)})) != fingerprint(SWEEP)
    turned = dict(reversed(SWEEP.methods.items()))  # another one is the first, with which all are compared
    assert fingerprint(SweepConfig(**{**vars(SWEEP), "methods": turned})) != fingerprint(SWEEP)
    dotted = {"no mixup": {"mixup": {"alpha": 0}}, "RegMixup, 0.4": {"mixup.alpha": 0.4, "mixup.clean_weight": 1}}
    assert fingerprint(SweepConfig(**{**vars(SWEEP), "methods": dotted})) == fingerprint(SWEEP)


def test_names_may_be_numbers():
    sweep = SweepConfig(sizes={100: {"data.train_examples": 100}, "all": {}}, methods={"plain": {}})
    assert [run.size for run in expand(sweep, Path("s"))][:2] == ["100", "all"]
    assert len(fingerprint(sweep)) == 16


def test_methods_may_be_models_and_stay_together():
    methods = {"cnn": {"model.name": "cnn"}, "lstm": {"model.name": "lstm"}, "lstm, mixed": {"model": {"name": "lstm"}}}
    runs = expand(SweepConfig(base={"model.name": "lstm"}, methods=methods, seeds=(0,)), Path("s"))
    assert {run.group for run in runs} == {("tweets", "lstm", "all")}
    assert [run.config.model.name for run in runs] == ["cnn", "lstm", "lstm"]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"a": {"mixup.alfa": 1}}, "a: unknown key mixup.alfa; did you mean mixup.alpha"),
        ({"a": {"mixup.alpha": -1}}, "a: mixup.alpha: expected a finite number >= 0, got -1"),
        ({"a": {"mixup.alpha": "x"}}, "a: mixup.alpha: expected a number, got 'x'"),
        ({"a": {"seed": 1}}, "methods: a: expected options that the sweep does not decide, got seed"),
        ({"a": {"data.path": "x/y"}}, "methods: a: .* choose no other data; these belong under data, got data.path"),
        ({"a": {"data.split_seed": 1}}, "methods: a: .* choose no other data; these belong under data"),
        ({"a": {"seeds": [True, False]}}, "methods: a: seeds: expected one or more"),
        ({"a": {"seeds": 3}}, "methods: a: seeds: expected one or more different integers >= 0, got 3"),
        ({"a": {"seeds": []}}, "methods: a: seeds: expected one or more"),
        ({"a": {"seeds": [1.5]}}, "methods: a: seeds: expected one or more"),
        ({"a": {"mixup": 1, "mixup.alpha": 2}}, "mixup.alpha: expected a section 'mixup', got the value 1"),
        ({"a b": {}, "a, b": {}}, "'a, b' on 'tweets' and 'a b' on 'tweets' would share the folder"),
        ({"a": {"eval.ood": None}}, "a: eval.ood: expected a value, got null; leave the key out"),
        ({"a": {"data.text_column": "a\0b"}}, "data.text_column: expected text in UTF-8 without NUL"),
        ({"ä" * 120: {}}, "on 'tweets': expected names to call a folder by; give shorter ones"),
    ],
)
def test_runs_that_cannot_be_are_refused(methods, message):
    with pytest.raises(InputError, match=message):
        expand(SweepConfig(methods=methods), Path("s"))


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"seeds": 3}, "base: seeds: expected one or more different integers >= 0, got 3"),
        ({"eval.ood": "noise"}, "eval.ood: expected a list"),
        ({"data.path": 3}, "data.path: expected a text, got '3'"),
    ],
)
def test_values_of_other_types_are_refused_in_base(base, message, tmp_path):
    with pytest.raises(InputError, match=message):
        expand(SweepConfig(base=base, methods={"a": {}}, data_root=str(tmp_path)), Path("s"))


@pytest.mark.parametrize("key", ["seed", "resume", "output_dir"])
def test_what_the_sweep_decides_is_refused_in_base(key):
    with pytest.raises(InputError, match=f"base: expected options that the sweep does not decide, got {key}"):
        expand(SweepConfig(base={key: "never"}, methods={"a": {}}), Path("s"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "methods: expected at least one method"),
        ({"seeds": (1, 1)}, "seeds: expected one or more different integers"),
        ({"seeds": (-1,)}, "seeds: expected one or more different integers >= 0"),
        ({"resamples": 50}, r"resamples: expected an integer in \[100"),
        ({"jobs": 0}, "jobs: expected an integer >= 1, got 0"),
        ({"gpus": 1.0}, "gpus: expected 0 for launcher local, got 1.0"),
    ],
)
def test_bounds(fields, message):
    with pytest.raises(InputError, match=message):
        SweepConfig(**({"methods": {"a": {}}} if fields else {}), **fields)
