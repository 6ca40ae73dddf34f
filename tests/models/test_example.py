from dataclasses import replace

from checkpoints_kit import built, checkpoint

from textmix.models.example import proof_example


def test_mixing_is_proven_on_short_texts_of_different_lengths(tmp_path, topics):
    _, splits = built(checkpoint(tmp_path / "bert"), topics)
    shortest, *between, longest = proof_example(splits.train)["attention_mask"].sum(dim=1).tolist()
    assert (shortest, longest) == (splits.train.lengths.min(), splits.train.lengths.max())
    assert shortest < between[0] < between[1] < between[2] < longest
    longer = replace(splits.train, lengths=splits.train.lengths + 15)
    assert longer.lengths.max() > 32
    assert proof_example(longer)["attention_mask"].sum(dim=1).max() == 32
