#!/usr/bin/env bash
# ResNet-20 on a part of CIFAR-10 without mixup and with alpha 0.3, three seeds each, and their comparison, out of
# distribution too: bash scripts/paper/cifar10_subset.sh [FOLDER], where FOLDER holds cifar10/ with train.parquet and
# test.parquet (columns img, label). Writes docs/results/cifar10_subset.md and its figures. Finished runs are not trained
# again.
set -euo pipefail
data=$(realpath "${1:-"$(dirname "${BASH_SOURCE[0]}")/../../../shared/data"}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash scripts/setup.sh demo
export PATH="$PWD/.venv/bin:$PATH"

for seed in 0 1 2; do
  for alpha in 0 0.3; do
    accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no textmix/train.py \
      --config configs/cifar10_subset_resnet20.yaml --data.path "$data/cifar10" --mixup.alpha "$alpha" --seed "$seed" \
      --output_dir "runs/paper/cifar10-subset-alpha-$alpha-$seed"
  done
done
python scripts/paper/cifar10_subset.py
