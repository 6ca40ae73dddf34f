"""Two processes train one step on mixed batches: torchrun --nproc-per-node 2 tests/mixup/distributed.py FOLDER."""

import sys
from pathlib import Path

import torch
from conftest import tiny_model
from torch import distributed
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from textmix.config import MixupConfig
from textmix.mixup import Mixup, draw

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SITES = ("embedding", "hidden:1")


def rank_batch(rank):
    """Rows of 4, 9 and 13 tokens, other ones on each rank."""
    mask = (torch.arange(13) < torch.tensor([4, 9, 13])[:, None]).long()
    ids = torch.randint(3, 99, (3, 13), generator=torch.Generator().manual_seed(rank))
    return {"input_ids": ids * mask, "attention_mask": mask}


def step(model, mixup, rank):
    """One backward pass on the rank's mixed batch; return its logits."""
    mix = draw(MixupConfig(alpha=1.0), 3, seed=(0, 0, 0, rank))
    with mixup.applied(mix, rank_batch(rank)) as inputs:
        logits = model(**inputs).logits
    targets = mix.targets(torch.tensor([0, 1, 2]), 3)
    torch.nn.functional.cross_entropy(logits, targets).backward()
    return logits.detach()


def fresh():
    return tiny_model("bert", **NO_DROPOUT).train()


def main(folder):
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    results = {}
    for site in SITES:
        model = fresh()
        mixup = Mixup(model, site)
        logits = step(DistributedDataParallel(model), mixup, rank)
        results["ddp", site] = logits, {name: p.grad for name, p in model.named_parameters()}

        model = fresh()
        mixup = Mixup(model, site)
        for layer in model.bert.encoder.layer:
            fully_shard(layer)
        fully_shard(model)
        logits = step(model, mixup, rank)
        results["fsdp", site] = logits, {name: p.grad.full_tensor() for name, p in model.named_parameters()}
    torch.save(results, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
