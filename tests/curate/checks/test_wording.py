from dataclasses import replace

import numpy as np
import pytest

from curate.checks.wording import spread_over_classes


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([-1, -1, -1], "without labels"),
        ([2, 2, -1], "all labelled kidney"),
        ([1, 1, 0], "67% of them labelled round"),
        ([0, 1, 2, 3], "spread over all 4 classes"),
        ([0, 1, 3, 0, 1, 3], "spread over 3 classes"),
    ],
)
def test_how_labels_are_spread_is_told_in_words(clean, labels, words):
    images = replace(clean.images, labels=np.array(labels + [0] * (160 - len(labels))))
    assert spread_over_classes(images, np.arange(len(labels))) == words
