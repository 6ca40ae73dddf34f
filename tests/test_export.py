import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from checkpoints_kit import checkpoint, tokenizer
from huggingface_hub import constants
from transformers import AutoModelForSequenceClassification

from textmix.config import ExportConfig
from textmix.errors import InputError, RunError
from textmix.export import bake, baked_temperature, base_license, push_to_hub, save_model
from textmix.models.text import KimCNNConfig, KimCNNForSequenceClassification

LABELS = ("cooking", "music", "sailing")
PROBE = {"input_ids": torch.randint(4, 30, (4, 7), generator=torch.Generator().manual_seed(0))}


def classifier(folder, family):
    if family == "cnn":
        config = KimCNNConfig(vocab_size=40, num_rows=40, embedding_dim=4, num_filters=3, num_labels=3)
        return KimCNNForSequenceClassification(config).eval()
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint(folder / family, family, LABELS)).eval()
    model.config.pad_token_id = 0
    return model


def logits(model, **inputs):
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2", "llama", "xlnet", "bart", "cnn"])
def test_a_baked_model_gives_its_logits_divided_after_loading_too(tmp_path, family):
    model = classifier(tmp_path, family)
    probe = {"input_ids": PROBE["input_ids"].index_fill(1, torch.tensor([6]), 3)}  # BART pools there
    before = logits(model, **probe)
    bake(model, 1.7, {**probe, "labels": torch.zeros(4)})
    torch.testing.assert_close(logits(model, **probe), before / 1.7, rtol=1e-5, atol=1e-6)
    assert baked_temperature(model) == 1.7
    model.save_pretrained(tmp_path / "baked")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "baked")
    assert baked_temperature(loaded) == 1.7
    torch.testing.assert_close(logits(loaded.eval(), **probe), before / 1.7, rtol=1e-5, atol=1e-6)


def test_a_model_is_not_baked_twice(tmp_path):
    model = classifier(tmp_path, "bert")
    bake(model, 1.5, PROBE)
    before = logits(model, **PROBE)
    with pytest.raises(InputError, match=r"got one that was divided by 1.5 already"):
        bake(model, 2.0, PROBE)
    assert torch.equal(logits(model, **PROBE), before)


def test_a_model_without_a_linear_end_is_left_as_it_was(tmp_path):
    model = classifier(tmp_path, "bert")
    model.classifier = torch.nn.Sequential(model.classifier, torch.nn.Tanh())
    weights = {name: values.clone() for name, values in model.state_dict().items()}
    with pytest.raises(
        InputError, match="expected a linear layer of BertForSequenceClassification that gives the logits"
    ):
        bake(model, 1.5, PROBE)
    assert all(torch.equal(values, weights[name]) for name, values in model.state_dict().items())
    assert baked_temperature(model) == 1


def test_another_layer_of_as_many_outputs_is_not_mistaken_for_the_last(tmp_path):
    model = classifier(tmp_path, "bert")
    model.after = torch.nn.Linear(16, 3)  # comes last, and is never called
    before = logits(model, **PROBE)
    weight = model.after.weight.clone()
    bake(model, 0.5, PROBE)
    torch.testing.assert_close(logits(model, **PROBE), 2 * before, rtol=1e-5, atol=1e-6)
    assert torch.equal(model.after.weight, weight)


def test_the_folder_works_in_a_pipeline_without_textmix(tmp_path):
    model = classifier(tmp_path, "bert")
    words = tokenizer(max_length=8)
    save_model(model, words, tmp_path / "model")
    text = "salt and butter " * 10
    program = (
        "import sys, json; from transformers import pipeline; from transformers.utils import logging; "
        "logging.disable_progress_bar(); "
        f"p = pipeline('text-classification', model={str(tmp_path / 'model')!r}, truncation=True, top_k=None); "
        f"print(json.dumps(p({text!r}))); assert 'textmix' not in sys.modules"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    scores = {entry["label"]: entry["score"] for entry in json.loads(done.stdout)[0]}
    encoded = words(text, truncation=True, return_tensors="pt")
    assert encoded["input_ids"].shape == (1, 8)
    expected = logits(model, **encoded).softmax(-1)[0]
    np.testing.assert_allclose([scores[name] for name in LABELS], expected, atol=1e-6)


def test_a_model_that_can_not_be_saved_leaves_the_old_folder(tmp_path, monkeypatch):
    model = classifier(tmp_path, "bert")
    save_model(model, tokenizer(), tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    class Full:
        def save_pretrained(self, folder):
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        save_model(model, Full(), tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_an_upload_that_fails_is_one_sentence_that_says_how_to_try_again(tmp_path):
    save_model(classifier(tmp_path, "bert"), tokenizer(), tmp_path / "model")
    (tmp_path / "README.md").write_text("---\n---\n")
    with pytest.raises(RunError, match=r"could not be uploaded to me/it .*`hf upload me/it ") as error:
        push_to_hub(tmp_path, ExportConfig(push_to_hub="me/it"))  # HF_HUB_OFFLINE is set
    assert "\n" not in str(error.value)


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as an upload needs; keeps what it was sent."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        lines = [json.loads(line) for line in body.splitlines()]
        self.server.seen.append((path, self.headers["Authorization"], lines))
        if "/preupload/" in path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in lines[0]["files"]
            ]
            answer = {"files": files}
        else:
            place = f"http://localhost:{self.server.server_port}/me/it"
            answer = {"url": place, "commitUrl": f"{place}/commit/0", "commitOid": "0", "errors": [], "warnings": []}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    """A small Hub on this machine, which huggingface_hub talks to instead."""
    server = ThreadingHTTPServer(("localhost", 0), Hub)
    server.seen = []
    threading.Thread(target=server.serve_forever).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://localhost:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield server
    server.shutdown()
    server.server_close()


def test_the_model_and_its_card_go_up_in_one_commit(tmp_path, hub):
    save_model(classifier(tmp_path, "bert"), tokenizer(), tmp_path / "model")
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    url = push_to_hub(tmp_path, ExportConfig(push_to_hub="me/it", private=True))
    assert url.endswith("/me/it/commit/0")
    assert {token for _, token, _ in hub.seen} == {"Bearer hf_secret"}
    (made,) = [lines[0] for path, _, lines in hub.seen if path == "/api/repos/create"]
    assert (made["organization"], made["name"], made["visibility"]) == ("me", "it", "private")
    (commit,) = [lines for path, _, lines in hub.seen if "/commit/" in path]
    sent = {line["value"]["path"]: line["value"]["content"] for line in commit if line["key"] == "file"}
    local = {**{path.name: path for path in (tmp_path / "model").iterdir()}, "README.md": tmp_path / "README.md"}
    assert {name: base64.b64decode(content) for name, content in sent.items()} == {
        name: path.read_bytes() for name, path in local.items()
    }


def test_the_licence_of_a_model_is_what_its_card_says(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    assert base_license(str(tmp_path)) == "mit"
    (tmp_path / "README.md").write_text("# A model\n")
    assert base_license(str(tmp_path)) is None
    (tmp_path / "README.md").write_text("---\n: [\n---\n")
    assert base_license(str(tmp_path)) is None
    (tmp_path / "README.md").unlink()
    assert base_license(str(tmp_path)) is None
    assert base_license("nobody/nothing") is None  # HF_HUB_OFFLINE is set
