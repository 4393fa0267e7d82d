"""Cholesky: what float rounding took from second moments does not stop the rounding of weights."""

import numpy as np
import pytest

from quantkit.quantization.rounding.cholesky import cholesky


def test_a_definite_matrix_is_taken_as_it_is() -> None:
    """Nothing is added where nothing is missing: the factor is numpy's, to the last bit."""
    x = np.random.default_rng(0).normal(size=(40, 8))
    np.testing.assert_array_equal(cholesky(x.T @ x), np.linalg.cholesky(x.T @ x))


def test_what_rounding_took_is_added() -> None:
    """Channels without variance, far from zero before they were shifted, are left a little below it, and factor."""
    x = np.random.default_rng(1).normal(size=(40, 8))
    moment = x.T @ x / 40
    moment[:2] = moment[:, :2] = 0
    moment[0, 0], moment[0, 1], moment[1, 0] = -1e-6, 3e-6, 3e-6
    factor = cholesky(moment)
    # A ten-thousandth of the mean diagonal is enough here.
    np.testing.assert_allclose(factor @ factor.T, moment, atol=2e-4)


def test_moments_of_nothing_are_refused() -> None:
    """A matrix that no inputs have is an error, not a guess."""
    with pytest.raises(np.linalg.LinAlgError):
        cholesky(np.array([[1.0, 5.0], [5.0, 1.0]]))
