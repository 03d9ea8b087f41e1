"""A small internet on loopback: platforms that speak the real wire formats, people who write on them,
faults, and the ground truth of who waited how long.

For the demo, the tests and the benchmarks. It imports nothing of ours: it is the world outside, and a
mistake in our code must not be shared by what checks it.
"""
