from __future__ import annotations

from curate.sets.reading import read


def test_a_table_tells_equal_names_apart_by_split(tmp_path, files, by_id):
    files(tmp_path, "train/1.png", "test/1.png")
    (tmp_path / "labels.csv").write_text("file,label,split\n1.png,cat,train\n1.png,dog,test\n")
    assert by_id(read(tmp_path)) == {"train/1.png": "cat", "test/1.png": "dog"}
