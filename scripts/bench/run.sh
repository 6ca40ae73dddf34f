#!/usr/bin/env bash
# Measure everything side by side, with nothing else running: bash scripts/bench/run.sh [--quick] [--only SUBJECT ...].
# Takes about 25 minutes on two cores, --quick 5; --accuracy measures whole trainings over three seeds, for 40.
# Writes docs/benchmarks.json and docs/benchmarks.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bash scripts/setup.sh demo,dev,peft
export PATH="$PWD/.venv/bin:$PATH" HF_HUB_OFFLINE=1
exec python scripts/bench/run.py "$@"
