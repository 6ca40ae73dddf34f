#!/usr/bin/env bash
# Kim CNN on TREC without mixup and with alpha 0.4, three seeds each, and their comparison, which accounts for examples and
# seeds: bash scripts/paper/trec_cnn.sh [FOLDER], where FOLDER holds trec/ with train.* and test.* (columns text, label);
# without it, the data come from the Hub. Finished runs are not trained again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash scripts/setup.sh demo
export PATH="$PWD/.venv/bin:$PATH"
source=()
[ $# -eq 0 ] || source=(--data.path "$1/trec")

for alpha in 0 0.4; do
  for seed in 0 1 2; do
    accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no textmix/train.py \
      --config configs/trec_cnn.yaml "${source[@]}" --mixup.alpha "$alpha" --seed "$seed" \
      --output_dir "runs/paper/trec-cnn-alpha-$alpha-$seed"
  done
done
textmix compare runs/paper/trec-cnn-alpha-0-{0,1,2} runs/paper/trec-cnn-alpha-0.4-{0,1,2}
