"""Speed and memory, measured as ratios against a baseline in the same run: machines are noisy.

`make bench` prints a table, `make bench ARGS=--json` one JSON object. Nothing here is asserted.
"""
