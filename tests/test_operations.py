"""The count of arithmetic, against one by hand."""

from cormorant_np.config import Config
from cormorant_np.training.operations import count_operations


def test_the_smallest_network_counted_by_hand():
    """Two atoms, one channel and ℓ = 0: one dot product and 16 radial functions; aggregate, square and identity."""
    config = Config.md17(num_channels=1, l_max=(0,), l_max_sh=(0,))
    pairs, ordered_pairs, atoms = 2, 4, 2  # of the two atoms, and one that stands for both with themselves
    expected = {
        "edge network": 3 * 8 * pairs * (1 + 16 + 1),
        "edge to vertex": 3 * 8 * ordered_pairs,
        "aggregation": 3 * 8 * ordered_pairs,
        "square": 3 * 8 * atoms,
        "coupling": 2 * 4 * atoms * 3,
        "mixing": 3 * 8 * atoms * 3,
    }
    assert count_operations(config, 1, 2) == expected
    own = Config.md17(num_channels=1, l_max=(0,), l_max_sh=(0,), self_pairs=True)
    assert count_operations(own, 1, 2) == expected | {"edge network": 3 * 8 * 3 * (1 + 16 + 1)}
    expected["edge network"] = 3 * 8 * ordered_pairs * (1 + 16 + 1)
    expected["coupling"] = 2 * 4 * atoms * 2  # the identity is no product
    assert count_operations(config, 1, 2, as_printed=True) == expected


def test_as_printed_the_square_has_all_its_paths():
    """From the second layer with ℓ ≤ 1 on: 16 products instead of 10; into ℓ = 0, 1: (2 + 2 + 1) + 3 (3 + 3 + 1) rows
    instead of (2 + 2 + 1) + 3 (3 + 1 + 1)."""
    config = Config.md17(num_channels=1, l_max=(1, 1), l_max_sh=(1, 1))
    one_layer = Config.md17(num_channels=1, l_max=(1,), l_max_sh=(1,))
    for as_printed, products, rows in ((False, 10, 20), (True, 16, 26)):
        both = count_operations(config, 1, 1, as_printed)
        first = count_operations(one_layer, 1, 1, as_printed)
        assert both["square"] - first["square"] == 3 * 8 * products
        assert both["mixing"] - first["mixing"] == 3 * 8 * rows
