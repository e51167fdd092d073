import pytest

from train.panels import Case, Panel


@pytest.mark.parametrize(("predicted", "right"), [(1, True), (0, False)])
def test_a_case_is_right_where_the_likeliest_class_is_its_own(predicted, right):
    assert Case("test", "a", 1, predicted, 0.9, 0.9 if right else 0.05).right is right


def test_the_cases_of_a_panel_are_those_of_its_rows_in_order():
    a, b, c = (Case("test", name, 0, 0, 0.9, 0.9) for name in "abc")
    assert Panel("Right", "the surest", ((a, b), (c,))).cases == (a, b, c)
    assert Panel("Right", "none", ()).cases == ()


def test_cases_of_one_image_differ_by_what_it_is_there():
    clean, foggy = Case("test", "a", 0, 0, 0.9, 0.9), Case("test", "a", 0, 0, 0.9, 0.9, "fog 3")
    assert len({clean, foggy}) == 2
