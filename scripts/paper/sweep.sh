#!/usr/bin/env bash
# Train the runs of a table and write it to docs/results/NAME.json, NAME.md and its figures:
# bash scripts/paper/sweep.sh NAME [FOLDER]. NAME is that of a file in configs/sweeps/; FOLDER holds local copies of the data,
# as that file says, which otherwise come from the Hub. Finished runs are not trained again, so that it can take several
# sittings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
name=${1:-}
if [ ! -f "configs/sweeps/$name.yaml" ]; then
  echo "sweep: expected one of $(cd configs/sweeps && echo *.yaml), without .yaml, got: ${name:-nothing}" >&2
  exit 2
fi
bash scripts/setup.sh demo
export PATH="$PWD/.venv/bin:$PATH"
source=()
[ $# -lt 2 ] || source=(--data_root "$2")

textmix sweep --config "configs/sweeps/$name.yaml" --jobs "$(nproc)" "${source[@]}"
mkdir -p docs/results
cp "runs/sweeps/$name/results.json" "docs/results/$name.json"
textmix report "docs/results/$name.json"
