import subprocess
import sys
from dataclasses import dataclass

import pytest

from textmix import cli
from textmix.command import BAD_INPUT, DONE, FAILED, guard, make_parser, parse
from textmix.config import Config
from textmix.errors import InputError, RunError
from textmix.options import EvaluateModelConfig, TuneConfig

PARSER = make_parser(Config, "textmix train", "Train.")


def read(*argv):
    return parse(PARSER, Config, argv)[0]


def test_flags_reach_their_fields():
    config = read(
        "--mixup.alpha",
        "0.4",
        "--seed=3",
        "--train.learning_rate",
        "2e-5",
        "--train.max_steps",
        "null",
        "--model.filter_widths",
        "[2,3]",
        "--loss.class_weights",
        "balanced",
        "--model.name",
        "lstm",
    )
    assert config.mixup.alpha == 0.4
    assert config.seed == 3
    assert config.train.learning_rate == 2e-5
    assert config.train.max_steps is None
    assert config.model.filter_widths == (2, 3)
    assert config.loss.class_weights == "balanced"
    assert config.model.name == "lstm"


def test_flags_override_the_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("mixup: {alpha: 0.1, labels: dominant}\nloss: {class_weights: [1, 2.5]}\n")
    config, path = parse(PARSER, Config, ["--config", str(file), "--mixup.alpha", "0.4"])
    assert path == str(file)
    assert (config.mixup.alpha, config.mixup.labels) == (0.4, "dominant")
    assert config.loss.class_weights == (1.0, 2.5)


@pytest.mark.parametrize("named", [["--config", "{}"], ["--config={}"]])
def test_flags_override_a_file_that_is_named_after_them(tmp_path, named):
    first, last = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("mixup: {alpha: 0.1, labels: dominant}\nseed: 2\n")
    last.write_text("seed: 3\n")
    words = [word.format(file) for file in (first, last) for word in named]
    config, path = parse(PARSER, Config, ["--mixup.alpha", "0.4", *words])
    assert (config.mixup.alpha, config.mixup.labels, config.seed) == (0.4, "dominant", 3)
    assert path == str(last)


def test_hyphens_are_underscores_in_flags_alone():
    config = read("--train.max-steps=7", "--output-dir", "my-runs")
    assert (config.train.max_steps, config.output_dir) == (7, "my-runs")


def test_hyphens_stay_in_names_of_the_user():
    parser = make_parser(EvaluateModelConfig, "textmix evaluate", "Evaluate.")
    argv = ["--model", "m", "--label-map.very-bad", "neg-1", "--label_map.so-so=neg"]
    assert parse(parser, EvaluateModelConfig, argv)[0].label_map == {"very-bad": "neg-1", "so-so": "neg"}
    parser = make_parser(TuneConfig, "textmix tune", "Tune.")
    argv = ["--search.a-b", "[1]", "--data.max-length", "7"]
    config = parse(parser, TuneConfig, argv)[0]
    assert config.search["a-b"] == [1]
    assert config.data.max_length == 7


@pytest.mark.parametrize(("words", "skips"), [((), True), (("false",), False), (("true",), True)])
def test_a_flag_alone_means_true(words, skips):
    config = read("--data.skip_corrupt", *words, "--seed", "3")
    assert (config.data.skip_corrupt, config.seed) == (skips, 3)


def test_no_options_are_the_defaults():
    assert parse(PARSER, Config, []) == (Config(), None)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--mixup.alfa", "1"], "unknown option --mixup.alfa; did you mean mixup.alpha?"),
        (["--mixup.alfa=1"], "unknown option --mixup.alfa=1; did you mean mixup.alpha?"),
        (["word"], "unknown option word; --help lists them all."),
        (["--mixup.alpha", "x"], "mixup.alpha: expected a number, got 'x'."),
        (["--mixup.alpha", "-1"], "mixup.alpha: expected a finite number >= 0, got -1.0."),
        (["--mixup.alpha", "nan"], "mixup.alpha: expected a number, got 'nan'."),
        (["--seed", "1.5"], "seed: expected an integer, got '1.5'."),
        (["--train.max_steps", "a"], "train.max_steps: expected an integer or null, got 'a'."),
        (["--mixup.labels", "hard"], "mixup.labels: expected one of soft, dominant, got 'hard'."),
        (["--train.length_buckets", "maybe"], "train.length_buckets: expected true or false, got 'maybe'."),
        (
            ["--loss.class_weights", "x"],
            "loss.class_weights: expected one of none, balanced or a list such as [a, b], got 'x'.",
        ),
    ],
)
def test_mistakes_in_flags_are_one_sentence(argv, message):
    with pytest.raises(InputError) as error:
        read(*argv)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixup: {alfa: 1}", "unknown key mixup.alfa; did you mean mixup.alpha?"),
        ("modl: {name: cnn}", "unknown key modl.name; did you mean model.name?"),
        ("train: {epochs: 2.5}", "train.epochs: expected an integer, got '2.5'."),
        ("mixup: {alpha: -1}", "mixup.alpha: expected a finite number >= 0, got -1."),
        ("mixup.alpha: 0.4\nmixup: {labels: dominant}", "mixup: expected a section or keys with dots, got both"),
        ("mixup: {labels: dominant}\nmixup.alpha: 0.4", "mixup: expected a section or keys with dots, got both"),
        ("seed: -1", "seed: expected an integer in [0, 2^63), got -1."),
        ("mixup: {alpha: [1", "did not find expected"),
        ("- 1", "expected options as `key: value`, got a list"),
        ("", "expected options as `key: value`, got nothing"),
    ],
)
def test_mistakes_in_files_name_the_file(tmp_path, text, message):
    file = tmp_path / "bad file.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        read("--config", str(file))
    assert str(file) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_files_that_can_not_be_read_are_named(tmp_path, name):
    with pytest.raises(InputError, match=str(tmp_path)):
        read("--config", str(tmp_path / name))


def test_yaml_does_not_run_code(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(f"data: {{path: !!python/object/apply:os.mkdir [{tmp_path}/made]}}")
    with pytest.raises(InputError):
        read("--config", str(file))
    assert not (tmp_path / "made").exists()


@dataclass(frozen=True)
class Case:
    raises: Exception | None
    code: int


@pytest.mark.parametrize(
    "case", [Case(None, DONE), Case(InputError("bad row 3."), BAD_INPUT), Case(RunError("nan."), FAILED)]
)
def test_exit_codes(case, capsys):
    def main():
        if case.raises is not None:
            raise case.raises

    assert guard(main) == case.code
    assert capsys.readouterr().err == ("" if case.raises is None else f"error: {case.raises}\n")


def test_a_defect_keeps_its_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guard(main)


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["train", "--help"],
        ["evaluate", "--help"],
        ["compare", "--help"],
        ["report", "--help"],
        ["predict", "--help"],
        ["doctor", "--help"],
    ],
)
def test_help_answers_without_torch(argv):
    code = (
        "import sys, textmix.cli\n"
        "try:\n    textmix.cli.main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'accelerate', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: textmix" in done.stdout


def test_help_of_evaluate_says_where_the_options_of_a_model_are(capsys):
    shown = []
    for argv in (["--help"], ["--model", "MODEL", "--help"]):
        with pytest.raises(SystemExit):
            cli.main(["evaluate", *argv])
        shown.append(" ".join(capsys.readouterr().out.split()))
    assert "--model has other options: see textmix evaluate --model MODEL --help." in shown[0]
    assert "--label_map" not in shown[0]
    assert "--label_map" in shown[1]


def test_help_explains_every_field():
    text = " ".join(PARSER.format_help().split())
    assert "lambda ~ Beta(alpha, alpha); 0 trains without mixing." in text
    assert "--train.length_buckets" in text
