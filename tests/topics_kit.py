"""Short texts about three topics that a small network can learn."""

import csv
from pathlib import Path

import numpy as np

TOPICS = {
    "cooking": ["salt", "oven", "butter", "dough", "simmer", "spoon"],
    "sailing": ["rudder", "tide", "anchor", "knots", "harbour", "mast"],
    "music": ["chord", "tempo", "violin", "octave", "encore", "drum"],
}
FILLERS = ["the", "a", "of", "and", "with", "under", "over", "some", "many", "then", "it", "was", "is", "we", "took"]


def topic_texts(count: int, seed: int) -> list[tuple[str, str]]:
    """Make `count` short texts about three topics; one word in four tells which, one text in ten lies."""
    rng = np.random.default_rng(seed)
    names = list(TOPICS)
    rows = []
    for _ in range(count):
        topic = names[rng.integers(3)]
        told = names[rng.integers(3)] if rng.random() < 0.1 else topic
        words = [
            str(rng.choice(TOPICS[told] if rng.random() < 0.25 or i == 0 else FILLERS))
            for i in range(rng.integers(1, 20))
        ]
        rows.append((" ".join(rng.permutation(words)), topic))
    return rows


def write_csv(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")) -> Path:
    """Write rows of text and label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path
