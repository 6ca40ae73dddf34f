import numpy as np


def test_mistakes_are_the_most_confident_ones(written, material, outline):
    test = material.test
    shifted = test.logits - test.logits.max(axis=1, keepdims=True)
    confidence = 1 / np.exp(shifted.astype(np.float64)).sum(axis=1)
    wrong = np.flatnonzero(test.logits.argmax(axis=1) != test.labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")]
    cells = outline((written / "report.html").read_text()).cells
    places = [next(k for k, cell in enumerate(cells) if cell.endswith(f" {i}")) for i in worst[:3]]
    assert places == sorted(places)
    assert cells[places[0] + 3] == f"{confidence[worst[0]]:.4f}"
