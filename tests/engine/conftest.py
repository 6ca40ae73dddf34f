import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # forked processes find ranks.py by its name
