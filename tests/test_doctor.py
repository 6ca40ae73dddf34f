import pandas as pd
import pytest
from checkpoints_kit import checkpoint

from textmix.cli import main


def doctor(*options, capsys):
    code = main(["doctor", "--train.threads", "1", "--train.batch_size", "16", *options])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def cells(text, first):
    line = next(line for line in text.splitlines() if line.split()[:1] == [first])
    return line.split()[1:]


def test_a_good_run_is_told_what_it_will_meet(topics, tmp_path, capsys):
    path = checkpoint(tmp_path / "bert")
    code, out, _ = doctor("--data.path", str(topics), "--data.max_length", "16", "--model.name", "pretrained",
                          "--model.path", str(path), "--mixup.alpha", "0.4", capsys=capsys)  # fmt: skip
    assert code == 0
    tables = {split: pd.read_csv(topics / f"{split}.csv") for split in ("train", "validation", "test")}
    cut = {split: (table["text"].str.split().str.len() + 2 > 16).sum() for split, table in tables.items()}
    for split, table in tables.items():
        found = cells(out, split)
        assert found[0] == str(len(table))
        assert found[3:5] == [str(cut[split]), f"({cut[split] / len(table):.1%})"]
    counts = [f"{(table['label'] == 'music').sum()}" for table in tables.values()]
    assert cells(out, "music")[::2] == counts
    earlier = set(tables["train"]["text"])
    shared = sum(text in earlier for text in tables["validation"]["text"])
    assert cells(out, "validation")[7:9] == [str(shared), f"({shared / 60:.1%})"]
    assert "BertForSequenceClassification" in out
    assert "positions for 64 tokens; texts are cut at 16" in out
    assert "Padding: '[PAD]' (id 0)" in out
    assert "Mixup: embedding at bert.embeddings.word_embeddings, proven in" in out
    assert "examples/s in training" in out
    assert "GiB" in out
    assert out.endswith("Nothing stands in the way of this run.\n")


@pytest.mark.parametrize("family", ["gpt2", "xlnet"])
def test_models_padded_on_the_left_are_proven_as_they_will_be_trained(topics, tmp_path, family, capsys):
    path = checkpoint(tmp_path / family, family)
    code, out, _ = doctor("--data.path", str(topics), "--data.max_length", "16", "--model.name", "pretrained",
                          "--model.path", str(path), "--mixup.alpha", "0.4", capsys=capsys)  # fmt: skip
    assert code == 0
    assert "proven in" in out


def test_without_mixup_it_tells_whether_there_could_be(topics, capsys):
    small = ["--model.num_filters", "3", "--model.embedding_dim", "8", "--mixup.alpha", "0"]
    _, out, _ = doctor("--data.path", str(topics), *small, capsys=capsys)
    assert "Mixup: off, for mixup.alpha is 0; site embedding could be used at embedding." in out
    _, out, _ = doctor("--data.path", str(topics), "--mixup.site", "hidden:9", *small, capsys=capsys)
    assert "site hidden:9 could not be used (mixup.site: this model has no list of layers, got" in out


def test_what_stands_in_the_way_is_told_after_what_was_found(topics, tmp_path, capsys):
    path = checkpoint(tmp_path / "bert", labels=("bad", "good"))
    code, out, err = doctor("--data.path", str(topics), "--data.max_length", "16", "--model.name", "pretrained",
                            "--model.path", str(path), capsys=capsys)  # fmt: skip
    assert code == 2
    assert cells(out, "cooking")
    assert "Nothing stands" not in out
    assert "trained for 2 labels and the data has 3" in err.splitlines()[-1]


def test_epochs_that_max_steps_leaves_unmixed_stand_in_the_way(topics, capsys):
    options = ["--train.max_steps", "5", "--mixup.off_last_epochs", "1", "--data.path", str(topics)]
    code, _, err = doctor(*options, *SMALL, capsys=capsys)
    assert code == 2
    assert "mixup.off_last_epochs: expected less than the 1 epochs of this training" in err.splitlines()[-1]


def test_a_loss_for_other_classes_stands_in_the_way(topics, capsys):
    code, out, err = doctor("--data.path", str(topics), "--loss.class_weights", "[1, 2]", *SMALL, capsys=capsys)
    assert code == 2
    assert "Labels" not in out
    assert "expected one weight for each of the 3 classes, got 2" in err.splitlines()[-1]


SMALL = ["--model.num_filters", "3", "--model.embedding_dim", "8"]


def test_sets_outside_the_classes_are_read(topics, tmp_path, capsys):
    (tmp_path / "news.csv").write_text("text\na story\nanother story\n")
    options = ["--data.path", str(topics), *SMALL, "--eval.ood"]
    code, out, _ = doctor(*options, f"[noise, 'noise:embeddings', {tmp_path / 'news.csv'}]", capsys=capsys)
    assert code == 0
    assert f"1,000 examples of noise:embeddings, 2 examples of {tmp_path / 'news.csv'}." in out
    code, out, err = doctor(*options, f"[{tmp_path / 'none.csv'}]", capsys=capsys)
    assert code == 2
    assert cells(out, "cooking")
    assert "none.csv" in err.splitlines()[-1]
    code, _, err = doctor(*options, "[a/news.csv, b/news.csv]", capsys=capsys)
    assert (code, "eval.ood: expected sources whose names differ" in err) == (2, True)


@pytest.mark.parametrize(
    ("folder", "message"),
    [("file/run", "expected a folder that can be written to, got: Not a directory"), ("full", "got other files")],
)
def test_the_folder_of_the_run_must_be_free(topics, tmp_path, folder, message, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("")
    options = ["--data.path", str(topics), *SMALL, "--output_dir"]
    code, _, err = doctor(*options, str(tmp_path / folder), capsys=capsys)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert doctor(*options, str(tmp_path / "new" / "run"), capsys=capsys)[0] == 0
    assert not (tmp_path / "new").exists()


def test_validation_too_small_for_a_temperature_is_warned_of(topics, capsys):
    code, _, err = doctor("--data.path", str(topics), *SMALL, capsys=capsys)
    assert code == 0
    assert "calibration.bake: the saved model's temperature will come from 60 validation examples" in err
    _, _, err = doctor("--data.path", str(topics), *SMALL, "--calibration.bake", "false", capsys=capsys)
    assert "calibration.bake" not in err


def test_a_class_that_a_split_lacks_is_counted(topics, tmp_path, capsys):
    for split in ("train", "validation", "test"):
        table = pd.read_csv(topics / f"{split}.csv")
        table[(table["label"] != "music") | (split != "test")].to_csv(tmp_path / f"{split}.csv", index=False)
    _, out, _ = doctor(
        "--data.path", str(tmp_path), "--model.num_filters", "3", "--model.embedding_dim", "8", capsys=capsys
    )
    assert cells(out, "test")[-1] == "1"
    assert cells(out, "music")[-2:] == ["0", "(0.0%)"]
