"""What docs/derivations/real_basis.md says of the network in the basis of real harmonics."""

import re
from pathlib import Path

import numpy as np

from cormorant_np.clebsch_gordan import table
from cormorant_np.network.coupling import coupling, different_paths, published_paths
from cormorant_np.spherical_harmonics import real_from_complex

L, ORDER = 3, ("aggregate", "square", "identity")
PAGE = Path(__file__).parents[1] / "docs" / "derivations" / "real_basis.md"


def in_real_basis(l1, l2, l):
    u1, u2, u = map(real_from_complex, (l1, l2, l))
    return np.einsum("ap,bq,cm,pqm->abc", u1.conj(), u2.conj(), u, table(l1, l2, l))


def number_of_products(kind, coefficients):
    """How many products of components have a coefficient that is not zero; of a square, A_p B_q and A_q B_p are one."""
    if kind == "square" and coefficients.shape[0] == coefficients.shape[1]:
        coefficients = np.triu(coefficients.T + coefficients.transpose(2, 0, 1))
    return int((abs(coefficients) > 1e-12).sum())


def test_the_scalar_product_loses_its_signs():
    for l in range(L + 1):
        u, m = real_from_complex(l), np.arange(-l, l + 1)
        np.testing.assert_allclose(u.T @ u, np.diag((-1.0) ** m)[:, ::-1], atol=1e-15)


def test_coefficients_are_real_or_imaginary_by_the_parity_of_the_path():
    for l1 in range(L + 1):
        for l2 in range(L + 1):
            for l in range(abs(l1 - l2), min(l1 + l2, L) + 1):
                coefficients = in_real_basis(l1, l2, l)
                vanishing = coefficients.real if (l1 + l2 + l) % 2 else coefficients.imag
                assert abs(vanishing).max() < 1e-15


def test_the_numbers_on_the_page():
    in_complex = in_real = (L + 1) ** 2
    for l in range(L + 1):
        kept, _ = different_paths(published_paths(l, L, L, ORDER), l)
        for kind, l1, l2 in kept:
            if kind != "identity":
                in_complex += number_of_products(kind, table(l1, l2, l))
                in_real += number_of_products(kind, in_real_basis(l1, l2, l))
    now = coupling(L, L, L, ORDER, "float64", "cpu").matrix.nnz
    text = PAGE.read_text(encoding="utf-8")
    row = re.search(r"that are not zero \| (\d+) \| (\d+) \|", text)
    assert tuple(map(int, row.groups())) == (in_complex, in_real)
    assert now == in_complex
