import numpy as np

from curate.faults.drawing import strange_pictures


def test_three_pictures_of_any_size_are_unlike_each_other_and_always_the_same():
    pictures = strange_pictures(40, 60)
    assert pictures.shape == (3, 40, 60, 3)
    assert np.array_equal(pictures, strange_pictures(40, 60))
    flat = pictures.reshape(3, -1).astype(float)
    assert np.corrcoef(flat)[np.triu_indices(3, 1)].max() < 0.5
