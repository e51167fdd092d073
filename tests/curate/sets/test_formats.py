import pytest

from curate.sets import exporting
from curate.sets.formats import FORMATS, ExportConfig
from curate.stage.errors import UnknownName


def test_every_format_is_written_and_every_writer_has_its_format():
    assert set(FORMATS) == set(exporting.EXPORTS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_taken_by_its_name(name):
    assert ExportConfig(name).to == name


def test_another_format_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match=r"no export format named 'web'\. .*Known: .*folder, .*webdataset"):
        ExportConfig("web")
