import pytest

from curate.configs import ScanConfig
from curate.sets.formats import ExportConfig
from curate.sets.scaling import Decoding


@pytest.mark.parametrize("config", [ScanConfig, lambda **words: ExportConfig(to="folder", **words)])
def test_what_reads_a_set_says_how_its_pixels_are_read(config):
    assert config().decoding == Decoding()
    assert config(value_range=(0.0, 4095.0), max_pixels=9).decoding == Decoding(max_pixels=9, value_range=(0.0, 4095.0))
