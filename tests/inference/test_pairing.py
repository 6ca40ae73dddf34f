import numpy as np

from textmix.inference.pairing import align


def test_the_first_ones_order_is_kept_and_the_others_follow(predictions):
    first = predictions(0, n=30)
    order = np.random.default_rng(0).permutation(30)
    shuffled = type(first)(
        first.logits[order],
        first.labels[order],
        first.label_names,
        [first.ids[i] for i in order],
        [f"text {i}" for i in order],
    )
    same, back = align([first, shuffled])
    assert same is first
    assert list(back.ids) == list(first.ids)
    assert back.texts == [f"text {i}" for i in range(30)]
    np.testing.assert_array_equal(back.logits, first.logits)
    np.testing.assert_array_equal(back.labels, first.labels)
