import pytest
import yaml

from textmix.command import make_parser, parse
from textmix.config import Config, DataConfig, LossConfig, MixupConfig
from textmix.errors import InputError
from textmix.run_folder import begin, is_finished, run_dir


@pytest.mark.parametrize(
    ("config", "file", "expected"),
    [
        (Config(seed=3), "configs/trec_cnn.yaml", "runs/trec_cnn-3"),
        (Config(), None, "runs/tweets-0"),
        (Config(data=DataConfig(path="/some/data/trec")), None, "runs/trec-0"),
        (Config(data=DataConfig(path="SetFit/TREC-QC")), None, "runs/TREC-QC-0"),
        (Config(output_dir="/x/y"), "configs/trec_cnn.yaml", "/x/y"),
        (Config(seed=1), "runs/trec_cnn-0/config.yaml", "runs/config-1"),
    ],
)
def test_where_a_run_lies(config, file, expected):
    assert str(run_dir(config, file)) == expected


def test_the_written_configuration_is_the_run_again(tmp_path):
    config = Config(mixup=MixupConfig(alpha=0.4), loss=LossConfig(class_weights=(1.0, 2.0)), output_dir=str(tmp_path))
    begin(tmp_path, config)
    again, _ = parse(make_parser(Config, "t", ""), Config, ["--config", str(tmp_path / "config.yaml"),
                                                            "--output_dir", str(tmp_path)])  # fmt: skip
    assert again == config


def test_finished_only_with_a_summary(tmp_path):
    folder, config = tmp_path / "run", Config()
    assert not is_finished(folder, config)
    begin(folder, config)
    assert not is_finished(folder, config)
    (folder / "summary.json").write_text("{}")
    assert is_finished(folder, config)


def test_another_configuration_is_refused_with_the_differing_keys(tmp_path):
    begin(tmp_path, Config())
    with pytest.raises(InputError, match=r"mixup.alpha is 0.0 there and 0.4 here, seed is 0 there and 1 here"):
        is_finished(tmp_path, Config(mixup=MixupConfig(alpha=0.4), seed=1))


def test_where_the_run_lies_does_not_make_it_another(tmp_path):
    begin(tmp_path, Config(output_dir="a"))
    assert not is_finished(tmp_path, Config(output_dir="b"))


def test_folders_of_somebody_else_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(InputError, match="expected an empty folder or a run, got other files"):
        is_finished(tmp_path, Config())
    with pytest.raises(InputError, match="expected a folder for the run, got a file"):
        is_finished(tmp_path / "thesis.tex", Config())


@pytest.mark.parametrize("text", ["a: [", "- 1", "\x00"])
def test_a_broken_configuration_is_named(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=r"config.yaml: expected the configuration of a run"):
        is_finished(tmp_path, Config())


def test_begin_clears_the_records_of_a_broken_start(tmp_path):
    begin(tmp_path, Config())
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    begin(tmp_path, Config())
    assert not (tmp_path / "metrics.jsonl").exists()
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["seed"] == 0
