"""Attacks on the program: damaged files, kills, signals, full disks, streams. `pytest -m long` for many more."""
