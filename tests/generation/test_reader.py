"""What a reader tells the model: which text was given to it, and which it wrote itself."""

import numpy as np
import pytest
from fake_models import HashModel, HistoryState

from wenmo.generation.reader import Reader


class MarkedState(HistoryState):
    """A history that notes, for every token, whether it was the model's own."""

    def __init__(self, ids, counts, marks=(), own=False):
        super().__init__(ids, counts)
        self.marks, self.own = marks, own

    def select(self, rows):
        return MarkedState(self.ids[rows], self.counts[rows], self.marks, self.own)

    def truncate(self, lengths):
        kept = int(lengths[0])
        return MarkedState(self.ids[:, :kept], lengths, self.marks[:kept], self.own)

    def writing(self, own):
        return MarkedState(self.ids, self.counts, self.marks, own)


class MarkedModel(HashModel):
    """Predicts as `HashModel` does."""

    def initial_state(self, batch):
        state = super().initial_state(batch)
        return MarkedState(state.ids, state.counts)

    def forward(self, ids, state=None, lengths=None):
        before = state or self.initial_state(len(ids))
        logits, after = super().forward(ids, before)
        return logits, MarkedState(
            after.ids, after.counts, (*before.marks, *[before.own] * ids.shape[1]), before.own
        )


def test_a_prompt_is_given_and_the_rest_is_the_models_own():
    reader = Reader(MarkedModel(9), np.array([3, 4, 5]), 0)
    for token in (6, 7):
        reader.advance([0], [token])
    assert list(reader._state.marks) == [False] * 4 + [True] * 2


def test_what_is_given_later_is_given_and_what_was_written_stays_the_models_own():
    reader = Reader(MarkedModel(9), np.array([3, 4, 5]), 0)
    for token in (6, 7):
        reader.advance([0], [token])
    assert reader.move(np.array([3, 4, 5, 6, 7, 8, 1])) == 6
    reader.advance([0], [2])
    assert list(reader._state.marks) == [False] * 4 + [True] * 2 + [False] * 2 + [True]


@pytest.mark.parametrize("prompt", [1, 5, 6, 7])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_window_that_moves_keeps_apart_what_was_given(prompt, rows):
    window = 8
    model = MarkedModel(9, max_positions=window)
    reader = Reader(model, np.arange(1, prompt + 1), 0)
    reader.advance([0] * rows, [7] * rows)
    while reader._length < 40:
        length = reader._length
        reader.advance(list(range(rows)), [length % 8 + 1] * rows)
        begin = reader._length - len(reader._state.marks)
        assert list(reader._state.marks) == [place > prompt for place in range(begin, reader._length)]
        expected = model.row(reader.history[0].tolist())
        np.testing.assert_allclose(reader.logits, np.tile(expected, (rows, 1)), atol=1e-6)
