import re
from dataclasses import MISSING, fields, replace
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.configs import BuildConfig
from augment.policies.library import names
from curate.stage.errors import DataError, ToolkitError, UnknownName
from train import configs
from train.configs import EvaluateConfig, FitConfig, ModelConfig, RunConfig
from train.recipe import RECIPES, SECTIONS, Recipe, load_recipe, to_toml, with_options
from train.tuning import read_space

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "recipes.md").read_text("utf-8")
# What each report says of its final model.
REPORTED = {
    "m2g": {
        "backbone": ("EfficientNetV2M",), "dense": (128,), "unfreeze": (0.8,), "learning_rate": (5e-4,),
        "batch_norm": "frozen", "class_weights": "balanced",
    },
    "hidden-players": {
        "backbone": ("EfficientNetB6",), "dense": (1024, 128), "optimizer": "adam", "class_weights": "none",
    },
    "hendrix": {
        "backbone": ("ResNet50",), "dense": (), "dropout": 0.3, "learning_rate": (8e-5,), "batch": 32,
        "head_norm": False, "class_weights": "balanced",
    },
    "ai-pacapa": {
        "backbone": ("ConvNeXtXLarge",), "optimizer": "adam", "class_weights": "counts", "schedule": "plateau",
    },
    "bloodmnist": {
        "backbone": ("ResNet101",), "input_size": 224, "dropout": 0.3, "learning_rate": (1e-4,), "optimizer": "adam",
        "batch": 16, "unfreeze": (1.0,), "class_weights": "none", "attention": "none",
    },
}  # fmt: skip


def options_of(config: RunConfig) -> dict:
    """All options by name."""
    parts = [config, config.model, config.fit, config.evaluate]
    return {of.name: getattr(part, of.name) for part in parts for of in fields(part) if of.name not in SECTIONS}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Write mine.toml in a folder of its own, and load it."""
    monkeypatch.chdir(tmp_path)

    def load(text: str | bytes) -> Recipe:
        Path("mine.toml").write_bytes(text.encode() if isinstance(text, str) else text)
        return load_recipe("mine.toml")

    return load


# The built-in ones


def test_the_five_reports_and_ours_are_there():
    assert set(RECIPES) == {"baseline", *REPORTED}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_opens_with_its_commands_and_says_what_it_is_and_where_it_is_from(name):
    recipe = load_recipe(name)
    assert (recipe.name, recipe.config.recipe, recipe.path) == (name, name, None)
    assert recipe.about.endswith(".")
    assert recipe.origin
    text = (resources.files("train") / "recipes" / f"{name}.toml").read_text("utf-8")
    scan, build, train = (line.removeprefix("#   ") for line in text.splitlines()[:3])
    folder = re.search(r" --artifacts \S+", train)
    assert scan.startswith("curate scan ")
    assert build == recipe.build_command + (folder.group() if folder else "")
    assert train.startswith(f"train {name}")
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", RECIPES)
def test_its_data_can_be_built_as_it_says(name):
    recipe = load_recipe(name)
    assert recipe.policy in names()
    assert BuildConfig(policy=recipe.policy, **recipe.build).allow_overlap == (
        "--allow-overlap" in recipe.build_command
    )


@pytest.mark.parametrize("name", REPORTED)
def test_a_report_s_recipe_has_what_the_report_says(name):
    options = options_of(load_recipe(name).config)
    assert {key: options[key] for key in REPORTED[name]} == REPORTED[name]
    # What none of them did.
    assert (options["label_smoothing"], options["ema"], options["clip"], options["flips"], options["select"]) == (
        0, 0, 0, "none", "clean",
    )  # fmt: skip


def test_ai_pacapa_unfreezes_more_and_more_and_stops_early():
    fit = load_recipe("ai-pacapa").config.fit
    shares = [share for share, _, _ in fit.stages]
    assert shares == sorted(set(shares))
    assert len(shares) > 1
    assert fit.patience > 0
    assert load_recipe("ai-pacapa").config.model.l2 > 0


# A file


def test_what_a_file_leaves_out_has_its_default(mine):
    recipe = mine("")
    assert recipe == Recipe("mine", RunConfig(recipe="mine.toml"), path=Path("mine.toml"))
    assert recipe.build_command == ""


def test_a_file_is_read_with_one_value_or_several_and_whole_numbers_for_others(mine):
    recipe = mine(
        'about = "A."\npolicy = "light"\n[build]\nsize = "64x64"\ncheck = false\n'
        "[fit]\nunfreeze = [0, 1]\nepochs = 3\nclip = 2\n[run]\nseed = 7\n"
    )
    fit = recipe.config.fit
    assert (fit.unfreeze, fit.epochs, fit.clip) == ((0.0, 1.0), (3,), 2.0)
    assert [type(value) for value in (*fit.unfreeze, fit.clip)] == [float] * 3
    assert recipe.config.seed == 7
    assert recipe.build_command == "augment build --policy light --size 64x64 --no-check"


@pytest.mark.parametrize(
    ("text", "of", "told"),
    [
        ("[fit]\nepoch = 3", UnknownName, r"mine.toml: \[fit\]: no option named 'epoch'. Did you mean 'epochs'\?"),
        ("[fits]", UnknownName, "mine.toml: no key of a recipe named 'fits'. Did you mean 'fit'"),
        ("[fit]\nbackbone = 'cnn'", DataError, r"\[fit\]: backbone is an option of \[model\]. Move it there."),
        ("[run]\nbatch = 3", DataError, r"mine.toml: \[run\]: batch is an option of \[fit\]"),
        ("[run]\nmodel = 3", UnknownName, r"mine.toml: \[run\]: no option named 'model'"),
        ("[fit]\noptimizer = 'adm'", UnknownName, r"mine.toml: \[fit\]: no optimizer named 'adm'. Did you mean 'adam'"),
        ("[fit]\nepochs = 'ten'", DataError, r"\[fit\]: epochs is 'ten'; needed is a whole number, or a list of them."),
        ("[fit]\nepochs = [1, 2.5]", DataError, r"epochs is \[1, 2.5\]; needed is a whole number"),
        ("[fit]\nepochs = []", DataError, "epochs is empty"),
        ("[fit]\nbatch = true", DataError, "batch is True; needed is a whole number."),
        ("[fit]\nbatch = [16]", DataError, r"batch is \[16\]; needed is a whole number."),
        ("[fit]\nprobe = 1", DataError, "probe is 1; needed is true or false."),
        ("[model]\ndropout = 1.5", DataError, r"\[model\]: dropout is 1.5; needed is a share from 0 to 1."),
        ("[model]\ndropout = nan", DataError, "dropout is nan; needed is a number."),
        (f"[fit]\nclip = 1{'0' * 400}", DataError, "needed is a number."),
        ("[model]\nweights = 3", DataError, 'weights is 3; needed is text in "quotes".'),
        ("[model]\nbackbone = []", DataError, r"\[model\]: no backbone is named"),
        ("[fit]\njsd = 12\nmixup = 0.2", DataError, "Leave one out."),
        ("fit = 3", DataError, r"mine.toml: \[fit\]: this is 3; needed is a section"),
        ("about = 3", DataError, "mine.toml: about is 3; needed is text"),
        ("[build]\ncopies = 4", DataError, r"mine.toml: there is a \[build\] but no policy"),
        ('policy = "light"\nbuild = 3', DataError, r"\[build\]: needed are lines"),
        ('policy = "light"\n[build]\nsize = [64, 64]', DataError, r"\[build\]: needed are lines"),
        ("[fit\n", DataError, r"mine.toml: this is no TOML: .*line 1"),
        (b'about = "\xff"', DataError, "mine.toml: this is no TOML: 'utf-8'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(mine, text, of, told):
    with pytest.raises(of, match=told):
        mine(text)


def test_a_name_that_is_none_has_its_nearest_and_a_file_that_is_none_is_told(tmp_path):
    with pytest.raises(UnknownName, match=r"no recipe named 'hendricks'. Did you mean 'hendrix'\?.*mine.toml"):
        load_recipe("hendricks")
    with pytest.raises(DataError, match=r"none.toml cannot be read: No such file"):
        load_recipe(str(tmp_path / "none.toml"))


# What a person gives


def test_what_is_given_counts_and_none_is_not_given():
    recipe = load_recipe("bloodmnist")
    config = with_options(
        recipe, {"backbone": "MobileNetV2-0.35", "epochs": [1, 2], "tta": "flips", "seed": 3, "batch": None}
    )
    assert config.model == replace(recipe.config.model, backbone=("MobileNetV2-0.35",))
    assert config.fit == replace(recipe.config.fit, epochs=(1, 2))
    assert (config.evaluate.tta, config.seed, config.recipe) == ("flips", 3, "bloodmnist")
    assert with_options(recipe, {}) == with_options(recipe, dict.fromkeys(options_of(config))) == recipe.config


def test_no_two_sections_have_an_option_of_one_name():
    counts = [len([of for of in fields(kind) if of.name not in SECTIONS]) for kind in (*SECTIONS.values(), RunConfig)]
    assert sum(counts) == len(options_of(RunConfig()))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epoch": 3}, "no option named 'epoch'. Did you mean 'epochs'"),
        ({"batch": 0}, "batch is 0"),
        ({"flips": "some"}, "no flips named 'some'"),
        ({"epochs": "3"}, "epochs is '3'; needed is a whole number, or a list of them."),
    ],
)
def test_what_cannot_be_given_is_told(options, told):
    with pytest.raises(ToolkitError, match=told):
        with_options(load_recipe("baseline"), options)


# Writing

texts = st.text(st.characters(exclude_categories=["Cs"]))
shares = st.floats(0, 1)
# Options whose values are limited in another way than by their type.
LIMITED = {
    "unfreeze": st.lists(shares, min_size=1).map(tuple),
    "epochs": st.lists(st.integers(0, 99), min_size=1).map(tuple),
    "learning_rate": st.lists(st.floats(1e-9, 1e6), min_size=1).map(tuple),
    "backbone": st.lists(texts, min_size=1, max_size=1).map(tuple),
    "input_size": st.none() | st.integers(8, 999),
    "folds": st.sampled_from([0, 2, 5]),
    "refine": st.sampled_from([0, 2, 5]),
    "mixup": st.just(0.0),
    "cutmix": st.just(0.0),
    **dict.fromkeys(("dropout", "momentum", "warmup", "ema", "label_smoothing", "mix"), shares),
    **{name: st.integers(1, 99) for name in ("batch", "seeds", "resamples")},
}
BY_TYPE = {
    "int": st.integers(0, 1000),
    "float": st.floats(0, 1e6),
    "bool": st.booleans(),
    "str": texts,
    "str | None": st.none() | texts,
    "tuple[int, ...]": st.lists(st.integers(1, 999)).map(tuple),
    "tuple[str, ...]": st.lists(texts).map(tuple),
}
CHOICES = {
    "attention": configs.ATTENTIONS, "optimizer": configs.OPTIMIZERS, "schedule": configs.SCHEDULES,
    "class_weights": configs.CLASS_WEIGHTS, "flips": configs.FLIPS, "batch_norm": configs.BATCH_NORMS,
    "precision": configs.PRECISIONS, "select": configs.SELECTIONS, "tta": configs.TEST_TIME,
    "filter": configs.FILTERS, "devices": configs.DEVICES,
}  # fmt: skip


def values_of(kind: type) -> dict:
    """A strategy for each option of a section."""
    choices = {name: st.sampled_from(among) for name, among in CHOICES.items()}
    special = LIMITED | choices
    return {of.name: special.get(of.name, BY_TYPE.get(str(of.type))) for of in fields(kind) if of.name not in SECTIONS}


runs = st.builds(
    RunConfig,
    model=st.builds(ModelConfig, **values_of(ModelConfig)),
    fit=st.builds(FitConfig, **values_of(FitConfig)),
    evaluate=st.builds(EvaluateConfig, **values_of(EvaluateConfig)),
    **values_of(RunConfig),
)


@given(runs)
def test_what_is_written_is_read_back_equal(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("run") / "config.toml"
    path.write_text(to_toml(config), "utf-8", newline="")
    assert load_recipe(str(path)).config == config


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_written_with_its_own_words(tmp_path, name):
    recipe, path = load_recipe(name), tmp_path / "config.toml"
    path.write_text(to_toml(recipe.config, recipe), "utf-8")
    assert replace(load_recipe(str(path)), name=name, path=None) == recipe


def test_every_option_is_written():
    written = set(re.findall(r"^(\w+) = ", to_toml(RunConfig()), re.M))
    unwritten = {"input_size", "baseline", "name", "tta", "filter"}  # which are None
    assert set(options_of(RunConfig())) - written == unwritten


def test_only_what_is_none_by_default_can_be_none():
    optional = [of for kind in (*SECTIONS.values(), RunConfig) for of in fields(kind) if "None" in str(of.type)]
    assert optional
    assert all(of.default is None for of in optional)


def test_a_name_that_is_no_utf8_is_an_error_and_no_traceback():
    with pytest.raises(DataError, match=r"external has 'a\\udcff', which is no UTF-8"):
        to_toml(RunConfig(evaluate=EvaluateConfig(external=("a\udcff",))))


# The page


def test_the_page_has_every_recipe_with_its_policy_and_its_words():
    rows = re.findall(r"^\| `([\w-]+)` \| `([\w.-]+)` \| (.+) \|$", PAGE.partition("\n## Your own")[0], re.M)
    assert sorted(rows) == [(name, load_recipe(name).policy, load_recipe(name).about) for name in RECIPES]


def test_the_page_has_every_option_with_its_default():
    for section, kind in SECTIONS.items():
        _, _, part = PAGE.partition(f"### [{section}]\n")
        rows = dict(re.findall(r"^\| `(\w+)` \| ?(.*?) ?\| .+ \|$", part.partition("\n#")[0], re.M))
        defaults = {of.name: of.default for of in fields(kind)}
        assert MISSING not in defaults.values()
        assert rows == {name: shown(default) for name, default in defaults.items()}, section


def test_what_the_page_shows_of_files_can_be_read(mine):
    own, space = re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)
    assert mine(own).config.fit.stages == ((0.3, 5, 5e-4), (0.8, 10, 1e-4))
    Path("space.toml").write_text(space, "utf-8")
    assert set(read_space("space.toml")) == {"learning_rate", "dropout", "unfreeze", "dense"}


def shown(default) -> str:
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{', '.join(map(str, default)) if isinstance(default, tuple) else default}`"


@pytest.mark.parametrize("name", ["folds", "refine"])
def test_one_fold_or_one_cluster_is_refused(name):
    with pytest.raises(DataError, match=rf"{name} is 1; needed are 2 at least, or 0 for none"):
        FitConfig(**{name: 1})
