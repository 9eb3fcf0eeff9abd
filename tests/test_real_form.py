"""Complex numbers in real form against NumPy's own complex arithmetic."""

import numpy as np
import pytest
from conftest import assert_close, random_complex

from cormorant_np.network.real_form import join, real_matrix, real_matrix_backward, split


@pytest.mark.parametrize("axis", range(4))
def test_split_puts_real_and_imaginary_part_along_a_new_axis_and_join_undoes_it(axis, rng):
    z = random_complex(rng, 2, 3, 4)
    parts = split(z, axis)
    np.testing.assert_array_equal(parts, np.stack([z.real, z.imag], axis=axis))
    assert (join(parts, axis) == z).all()


def test_split_writes_into_an_array_that_is_not_contiguous(rng):
    z = random_complex(rng, 3, 4)
    whole = np.zeros((3, 5, 4))
    out = whole[:, 1:4:2]
    assert split(z, 1, out=out) is out
    np.testing.assert_array_equal(whole[:, 1], z.real)
    np.testing.assert_array_equal(whole[:, 3], z.imag)
    assert (whole[:, ::2] == 0).all()


def test_the_real_matrix_of_one_number():
    np.testing.assert_array_equal(real_matrix(np.array([[3 + 4j]]), 0).reshape(2, 2), [[3, 4], [-4, 3]])


def test_real_matrices_act_and_multiply_as_complex_ones(rng):
    """From the right. Rows are (row, part) and columns (part, column), so that sums run over rows and parts."""
    a, b, z = random_complex(rng, 3, 4), random_complex(rng, 4, 5), random_complex(rng, 3)
    real_a, real_b = real_matrix(a, 0), real_matrix(b, 0)
    assert_close(np.tensordot(split(z, 1), real_a, 2), split(z @ a, 0))
    assert_close(np.tensordot(real_a.swapaxes(2, 3), real_b, 2), real_matrix(a @ b, 0))


@pytest.mark.parametrize("axis, labels", [(0, "asbtc"), (1, "abstc")])
def test_rows_are_doubled_behind_the_axis_and_columns_before_the_last_one(axis, labels, rng):
    z, x = random_complex(rng, 2, 3, 4), random_complex(rng, 2, 3)
    product = np.einsum(f"{labels},abs->tc", real_matrix(z, axis), split(x, 2))
    assert_close(product, split(np.einsum("abc,ab->c", z, x), 0))


def test_the_gradient_by_a_complex_number_is_the_sum_over_the_places_where_its_parts_stand(rng):
    """Re d = d_11 + d_22 and Im d = d_12 - d_21 for each number, whatever stands in the four places."""
    d = rng.standard_normal((3, 2, 5, 2, 4))
    d_z = real_matrix_backward(d)
    assert d_z.shape == (3, 5, 4)
    for row, k, column in np.ndindex(3, 5, 4):
        (a, b), (c, e) = d[row, :, k, :, column]
        np.testing.assert_allclose(d_z[row, k, column], (a + e) + 1j * (b - c), rtol=1e-15)


def test_the_precision_is_kept(rng):
    z = random_complex(rng, 2, 3).astype(np.complex64)
    assert split(z, 0).dtype == real_matrix(z, 0).dtype == np.float32
    assert join(split(z, 0), 0).dtype == real_matrix_backward(real_matrix(z, 0)).dtype == np.complex64
