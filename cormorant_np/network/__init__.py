"""The network of `plain.py`, fast: batches, pairs once, one sparse coupling matrix, NumPy or CuPy."""
