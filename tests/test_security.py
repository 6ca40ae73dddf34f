"""What a stranger could hand over, or a neighbour could read."""

import ast
import os
from pathlib import Path

import pytest

from textmix.cli import main

PACKAGE = Path(__file__).parents[1] / "textmix"
CALLS = [
    (path.relative_to(PACKAGE), node)
    for path in sorted(PACKAGE.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Call)
]
SMALL = ["--model.embedding_dim", "4", "--model.num_filters", "2", "--eval.resamples", "100", "--train.epochs", "1",
         "--train.threads", "1"]  # fmt: skip
LABELS = ("../../x", "<img src=x onerror=alert(1)>", "a|b](javascript:alert(1))")
TEXTS = ("<script>alert(1)</script> one", "</td></table><b>two", "![x](http://evil/x.png) three")


def calls(*names):
    """Return the calls whose dotted name ends like one of `names`, with their keywords as source."""
    found = [
        (str(path), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords})
        for path, node in CALLS
        if ast.unparse(node.func).endswith(names)
    ]
    assert found, names
    return found


def test_torch_loads_numbers_only():
    assert all(keywords.get("weights_only") == "True" for _, keywords in calls("torch.load"))


def test_numpy_loads_no_objects():
    assert all(keywords.get("allow_pickle", "False") == "False" for _, keywords in calls("np.load"))


def test_yaml_loads_no_objects():
    used = {ast.unparse(node.func) for _, node in CALLS if ast.unparse(node.func).startswith("yaml.")}
    assert {name for name in used if "load" in name or "dump" in name} == {"yaml.safe_load", "yaml.safe_dump"}
    for name in ("yaml.parse", "yaml.compose"):
        for path, node in CALLS:
            if ast.unparse(node.func) == name:
                assert ast.unparse(node.args[1]) == "yaml.SafeLoader", path


def test_no_model_brings_its_own_code():
    """Models, tokenizers, processors and configurations are loaded without it, and no option changes that."""
    loaders = ("AutoModel", "Classification", "AutoConfig", "AutoTokenizer", "AutoImageProcessor")
    for path, keywords in calls(*(f"{name}.from_pretrained" for name in loaders)):
        assert keywords.get("trust_remote_code") == "False", path


def test_nothing_unpickles_or_evaluates():
    forbidden = {"pickle.load", "pickle.loads", "eval", "exec", "os.system", "joblib.load", "torch.jit.load"}
    assert not {ast.unparse(node.func) for _, node in CALLS} & forbidden


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on labels and texts that want out, under a name that wants out, and everything it said."""
    home = tmp_path_factory.mktemp("home")
    rows = [f'"{text} {i % 7}","{label}"' for i in range(30) for text, label in zip(TEXTS, LABELS, strict=True)]
    data = home / "in" / "..x"
    data.mkdir(parents=True)
    (data / "train.csv").write_text("\n".join(["text,label", *rows]))
    (data / "test.csv").write_text("\n".join(["text,label", *rows]))
    os.environ["HF_TOKEN"] = "hf_thisIsNobodysToken"
    try:
        code = main(["train", "--data.path", str(data), "--output_dir", str(home / "out" / "run"), *SMALL,
                     "--eval.ood", f"[{home / 'in' / '..x'}]"])  # fmt: skip
    finally:
        del os.environ["HF_TOKEN"]
    assert code == 0
    return home


def test_output_stays_in_its_folder(run):
    assert sorted(path.name for path in run.iterdir()) == ["in", "out"]
    assert [path.name for path in (run / "out").iterdir()] == ["run"]
    assert sorted(path.name for path in (run / "in" / "..x").iterdir()) == ["test.csv", "train.csv"]
    assert not (run.parent / "x").exists()


def test_html_and_markdown_are_escaped(run):
    html = (run / "out" / "run" / "report.html").read_text()
    assert "&lt;img src=x onerror" in html
    assert "<img src=x" not in html
    assert "<script" not in html
    card = (run / "out" / "run" / "README.md").read_text().split("---", 2)[2]
    assert "<script" not in card
    assert "<img" not in card
    assert "](javascript" not in card
    assert "](http://evil" not in card


def test_no_token_of_the_environment_is_written(run):
    for path in (run / "out").rglob("*"):
        if path.is_file():
            assert b"hf_thisIsNobodysToken" not in path.read_bytes(), path


URL = "https://me:hf_secret@huggingface.co/me/it?token=hf_other"


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "--data.path", URL],
        ["train", "--data.path", "me:hf_secret@hub/it"],
        ["train", "--data.path", "ok.csv", "--eval.ood", f"[{URL}]"],
        ["train", "--data.path", "ok.csv", "--data.tokenizer", URL],
        ["train", "--data.path", "ok.csv", "--model.vectors", URL],
        ["train", "--data.path", "ok.csv", "--model.name", "pretrained", "--model.path", URL],
        ["train", "--data.path", "ok.csv", "--export.push_to_hub", URL],
        ["predict", "--model", URL, "--input", "ok.csv", "--output", "out.csv"],
        ["evaluate", URL],
        ["evaluate", "--model", URL, "--data.path", "ok.csv"],
        ["compare", URL, "ok.csv"],
        ["report", URL],
    ],
    ids=" ".join,
)
def test_no_secret_of_a_url_is_repeated(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.csv").write_text("text,label\n" + "salt and oven,cooking\na chord,music\n" * 20)
    assert main(argv) == 2
    told = "".join(capsys.readouterr())
    assert "hf_secret" not in told
    assert "hf_other" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["ok.csv"]
