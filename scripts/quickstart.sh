#!/usr/bin/env bash
# Train the same classifier without and with mixup on real social-media texts, and compare how far its confidence can be
# trusted: bash scripts/quickstart.sh [--model cnn|minilm]. A finished run is not trained again; delete runs/ to start over.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

model=cnn
if [ $# -gt 0 ]; then
  case "$*" in
    "--model cnn" | "--model minilm") model=$2 ;;
    *) echo "quickstart: expected --model cnn or --model minilm, got: $*" >&2; exit 2 ;;
  esac
fi

bash scripts/setup.sh demo
export PATH="$PWD/.venv/bin:$PATH" HF_HUB_OFFLINE=1
launch() {
  accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no textmix/train.py \
    --config "configs/tweets_$model.yaml" "$@"
}

echo "== Without mixup"
launch --mixup.alpha 0 --output_dir "runs/quickstart-$model/no-mixup"
echo "== With mixup"
launch --output_dir "runs/quickstart-$model/mixup"
echo "== Compared"
textmix compare "runs/quickstart-$model/no-mixup" "runs/quickstart-$model/mixup"
echo "Each run's report.html, summary.json, predictions and model are in runs/quickstart-$model/."
