"""Test and time this package on your GPU, and print a report to paste into an issue: python tests/gpu/report.py"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS = (
    ("-c", "import cupy; cupy.show_config()"),
    ("-m", "pytest", "tests/gpu", "-v"),
    ("-m", "cormorant_np.benchmark", "--device", "gpu", "--json"),
    ("-m", "cormorant_np.benchmark", "--device", "gpu", "--json", "--molecule", "aspirin"),
    ("-m", "cormorant_np.benchmark", "--device", "cpu", "--json"),
)

for command in COMMANDS:
    print(f"\n$ python {' '.join(command)}", flush=True)
    subprocess.run([sys.executable, *command], cwd=ROOT, stderr=subprocess.STDOUT)
