#!/usr/bin/env bash
# Make .venv and install textmix into it, with pinned versions: bash scripts/setup.sh [EXTRAS], such as demo or demo,dev.
# Needs Python 3.11 or newer and pip. What is already installed for these files is not installed again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras=${1:-demo}

python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
if ! "${python:-false}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "setup: expected Python 3.11 or newer, got ${python:-none}; install it or set PYTHON=/path/to/python." >&2
  exit 2
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv

stamp=.venv/installed-$extras
wanted=$(cat pyproject.toml scripts/constraints.txt | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "Installing textmix[$extras] into .venv ..."
  # Setuptools warns of every folder that is named like its package.
  PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --constraint scripts/constraints.txt --editable ".[$extras]"
  echo "$wanted" > "$stamp"
fi
