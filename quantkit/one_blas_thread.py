"""One thread for numpy's products, so that the same numbers come out wherever the same thing is computed.

A BLAS with several threads adds up in another order than one with a single thread: the last bits of second moments and
of Cholesky factors differ, and with them weights that are rounded by these. And its threads wait by spinning, so on a
busy machine they take the cores from the runtime that is at work beside them: MiniLM's moments took 75 s so, and 5.5 s
with `OPENBLAS_NUM_THREADS=1` (2 cores of a Zen 5 EPYC). What can be split is split by us, into parts that need nothing
of each other.
"""

from threadpoolctl import threadpool_limits


def one_blas_thread() -> threadpool_limits:
    """Return what limits the BLAS of this process to one thread while a `with` block runs."""
    return threadpool_limits(limits=1, user_api="blas")
