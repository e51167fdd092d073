from __future__ import annotations

import pytest

from curate.sets.roles import Wishes, file_test, role_notes, roles_of, shares_of, with_header
from curate.sets.sheets import Sheet
from curate.stage.errors import DataError


def sheet_of(folder, text):
    (folder / "t.csv").write_text(text)
    return Sheet.read(folder / "t.csv")


def named(folder, header, rows, files=(), wishes=None):
    """(the columns of files, labels, splits, groups) by name."""
    sheet = sheet_of(folder, "\n".join([header, *rows]))
    roles = roles_of(sheet, file_test(files), wishes or Wishes())
    return tuple(
        None if at is None else sheet.columns[at] for at in (roles.file, roles.label, roles.split, roles.group)
    )


# Headers of sets that people download, each with a row; the files are called a.jpg to c.jpg.
@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        (
            "lesion_id,image_id,dx,dx_type,age,sex,localization",
            "HAM_1,{},nv,histo,80,male,scalp",
            ("image_id", "dx", None, "lesion_id"),
        ),
        (
            "image_name,patient_id,sex,age_approx,diagnosis,benign_malignant,target",
            "{},IP_1,male,45,nevus,benign,0",
            ("image_name", "target", None, "patient_id"),
        ),
        (
            "image_id,label",
            "{}.jpg,3",
            ("image_id", "label", None, None),
        ),
        (
            "id,breed",
            "{},boston_bull",
            ("id", "breed", None, None),
        ),
        (
            "Image,Id",
            "{}.jpg,w_f48451c",
            ("Image", "Id", None, None),
        ),
        (
            "id_code,diagnosis",
            "{},2",
            ("id_code", "diagnosis", None, None),
        ),
        (
            "image,level",
            "{},0",
            ("image", "level", None, None),
        ),
        (
            "Image Index,Finding Labels,Follow-up #,Patient ID",
            "{}.jpg,Mass,0,1",
            ("Image Index", "Finding Labels", None, "Patient ID"),
        ),
        (
            "file_name,category_id,seq_id,location",
            "{}.jpg,19,s1,33",
            ("file_name", "category_id", None, None),
        ),
        (
            "filename,width,height,class,xmin,ymin,xmax,ymax",
            "{}.jpg,9,9,cat,1,1,5,5",
            ("filename", "class", None, None),
        ),
        (
            "Unnamed: 0,path,cell_type,fold",
            "7,x/{}.jpg,mono,2",
            ("path", "cell_type", None, None),
        ),
        (
            "File Name,Label ,Split",
            "{}.jpg,cat,Train",
            ("File Name", "Label", "Split", None),
        ),
        (
            "Bilddatei,Art",
            "{}.jpg,Buche",
            ("Bilddatei", "Art", None, None),
        ),
        (
            "key,file_name,partition,species",
            "1,{}.jpg,val,oak",
            ("file_name", "species", "partition", None),
        ),
        (
            "posting_id,image,image_phash,title,label_group",
            "train_1,{}.jpg,94974f,Bag,249114",
            ("image", "label_group", None, None),
        ),
    ],
)
@pytest.mark.parametrize("files", [(), ("a.jpg", "b.jpg", "c.jpg")])
def test_the_columns_of_sets_that_people_download_are_known(tmp_path, header, row, columns, files):
    rows = [row.format(name) for name in "abc"]
    assert named(tmp_path, header, rows, files) == columns


def test_a_person_may_name_the_columns(tmp_path):
    rows = ["a.jpg,nevus,0,x,1"]
    wishes = Wishes("benign malignant", "part", "hospital")
    assert named(tmp_path, "image,target,benign_malignant,part,hospital", rows, wishes=wishes) == (
        "image", "benign_malignant", "part", "hospital",
    )  # fmt: skip
    with pytest.raises(DataError, match=r"has no column 'dx', but image, target. Name one of these"):
        named(tmp_path, "image,target", ["a.jpg,0"], wishes=Wishes("dx"))


def test_the_column_whose_cells_are_files_is_that_of_files_whatever_the_names(tmp_path):
    rows = [f"{i},w{i},{label}" for i, label in enumerate(("cat", "dog", "cat"))]
    assert named(tmp_path, "id,slide,what", rows, ("w0.png", "w1.png", "w2.png"))[:2] == ("slide", "what")


def test_a_column_of_patients_may_be_that_of_files(tmp_path):
    rows = ["a,0", "b,1", "c,0"]
    assert named(tmp_path, "patientId,Target", rows, ("a.png", "b.png", "c.png")) == ("patientId", "Target", None, None)


def test_columns_that_cannot_be_told_apart_are_not_guessed(tmp_path):
    rows = ["a.jpg,x,1", "b.jpg,y,1", "c.jpg,x,2"]
    assert named(tmp_path, "file,tone,visit", rows)[1] is None
    assert named(tmp_path, "file,weight", ["a.jpg,0.5", "b.jpg,1.25"])[1] is None


def test_a_column_that_is_mostly_empty_is_not_that_of_labels(tmp_path):
    rows = ["a.jpg,Buche,", "b.jpg,Eiche,krank", "c.jpg,Buche,"]
    assert named(tmp_path, "Datei,Art,Bemerkung", rows)[:2] == ("Datei", "Art")


def test_a_table_without_header_is_one_all_the_same(tmp_path):
    for text, files in (("a.png,cat\nb.png,dog\n", ()), ("0001,cat\n0002,dog\n", ("0001.png", "0002.png"))):
        sheet = with_header(sheet_of(tmp_path, text), file_test(files))
        assert sheet.columns == ("column 1", "column 2")
        assert len(sheet.rows) == 2
        assert sheet.notes == ("t.csv has no header: its columns are called column 1 and column 2",)
        roles = roles_of(sheet, file_test(files))
        assert (roles.file, roles.label) == (0, 1)


def test_a_header_of_usual_names_is_one_even_where_files_are_called_so(tmp_path):
    sheet = sheet_of(tmp_path, "image,label\na.png,cat\n")
    assert with_header(sheet, file_test(("image.png", "a.png"))) is sheet


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("1", "")])
def test_columns_of_one_class_each_are_labels(tmp_path, yes, no):
    sheet = sheet_of(
        tmp_path, f"image,MEL,NV,BCC\na.jpg,{yes},{no},{no}\nb.jpg,{no},{no},{yes}\nc.jpg,{no},{yes},{no}\n"
    )
    roles = roles_of(sheet, file_test(()))
    assert roles.shares == (1, 2, 3)
    assert shares_of(sheet, roles.shares).argmax(axis=1).tolist() == [0, 2, 1]


def test_several_classes_of_one_image_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"in 1 row several of the columns sun, sea are 1.*--classes-from"):
        roles_of(sheet_of(tmp_path, "image,sun,sea\na.jpg,1,1\nb.jpg,0,1\n"), file_test(()))


def test_what_was_taken_for_what_is_told_where_the_names_do_not_say_it(tmp_path):
    sheet = sheet_of(tmp_path, "image_id,target,diagnosis\na.jpg,0,nevus\n")
    assert role_notes(sheet, roles_of(sheet, file_test(()))) == [
        "columns of t.csv: file is image_id, label is target",
        "t.csv has diagnosis beside target: another is taken with --classes-from COLUMN",
    ]
    sheet = sheet_of(tmp_path, "file,label,label\na.jpg,cat,dog\n")
    assert role_notes(sheet, roles_of(sheet, file_test(()))) == [
        "t.csv has 2 columns called label; the label is from the first"
    ]
    sheet = sheet_of(tmp_path, "file,label,split,group\na.jpg,cat,train,g\n")
    assert role_notes(sheet, roles_of(sheet, file_test(()))) == []


def test_a_table_that_names_no_files_is_an_error_that_lists_its_columns(tmp_path):
    with pytest.raises(DataError, match=r"has columns \['when', 'where'\] but none that names files"):
        roles_of(sheet_of(tmp_path, "when,where\nnow,here\n"), file_test(("a.png",)))
