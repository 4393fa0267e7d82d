"""Windows over documents against brute force."""

from hypothesis import given
from hypothesis import strategies as st

from quantkit.tasks.squad.windows import cut_windows, widest_context

TOKENS = st.integers(0, 300)
ROOM = st.integers(1, 60)
STRIDE = st.integers(1, 60)


@given(TOKENS, ROOM, STRIDE)
def test_every_token_is_in_a_window(tokens: int, room: int, stride: int) -> None:
    """The windows together see every document token, and nothing past the end."""
    windows = cut_windows(tokens, room, stride)
    seen = {token for start, length in windows for token in range(start, start + length)}
    assert set(range(tokens)) == seen


@given(TOKENS, ROOM, STRIDE)
def test_windows_advance_by_the_stride(tokens: int, room: int, stride: int) -> None:
    """Windows advance by exactly the stride (the room where that is less); only the last may be shorter."""
    windows = cut_windows(tokens, room, stride)
    starts = [start for start, _ in windows]
    assert list(range(0, len(windows) * min(room, stride), min(room, stride))) == starts
    assert all(length == room for _, length in windows[:-1])
    assert windows[-1][1] <= room


@given(TOKENS, ROOM, STRIDE)
def test_there_is_no_needless_window(tokens: int, room: int, stride: int) -> None:
    """The window before the last one did not reach the end of the document."""
    windows = cut_windows(tokens, room, stride)
    assert len(windows) == 1 or sum(windows[-2]) < tokens


@given(TOKENS, ROOM, STRIDE)
def test_widest_context_equals_brute_force(tokens: int, room: int, stride: int) -> None:
    """Each token belongs to exactly the window that a search over all windows finds."""
    windows = cut_windows(tokens, room, stride)
    runs = widest_context(windows)
    for token in range(tokens):
        best, best_score = -1, None
        for index, (start, length) in enumerate(windows):
            if not start <= token < start + length:
                continue
            score = min(token - start, start + length - 1 - token) + 0.01 * length
            if best_score is None or score > best_score:
                best, best_score = index, score
        owners = [index for index, (first, number) in enumerate(runs) if first <= token < first + number]
        assert [best] == owners
