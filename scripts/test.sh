#!/usr/bin/env bash
# Set up and check everything: format, lint, types, tests. Arguments go to pytest: bash scripts/test.sh -k losses
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh demo,dev,peft,sweep
export PATH="$PWD/.venv/bin:$PATH" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
# One thread a process: the tests run two at a time.
export OMP_NUM_THREADS=1

ruff format --check .
ruff check .
mypy
pytest --numprocesses 2 --dist worksteal "$@"
