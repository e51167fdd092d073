import cv2
import numpy as np
import pytest

from augment.corruptions.corruption import CORRUPTIONS, TEST, VALIDATION
from augment.corruptions.presets import PRESETS, preset
from curate.stage.errors import UnknownName

SIDES = {"imagenet-c": 224, "tiny-imagenet-c": 64, "cifar-c": 32, "medmnist-c-blood": 224}
# The published tables, one row a parameter; typed from the papers' programs and not from our files.
TABLES = {
    "imagenet-c": """
        gaussian_noise sd .08 .12 .18 .26 .38
        shot_noise photons 60 25 12 5 3
        impulse_noise amount .03 .06 .09 .17 .27
        defocus_blur radius 3 4 6 8 10 / alias .1 .5 .5 .5 .5
        glass_blur sigma .7 .9 1 1.1 1.5 / reach 1 2 2 3 4 / rounds 2 1 3 2 2
        motion_blur radius 10 15 15 15 20 / sigma 3 5 8 12 15
        zoom_blur zoom 1.11 1.16 1.21 1.26 1.31 / step .01 .01 .02 .02 .03
        snow mean .1 .2 .55 .55 .55 / sd .3 .3 .3 .3 .3 / flake 3 2 4 4.5 2.5 / threshold .5 .5 .9 .85 .85 \
            / radius 10 12 12 12 12 / sigma 4 4 8 8 12 / mix .8 .7 .7 .65 .55
        frost keep 1 .8 .7 .65 .6 / amount .4 .6 .7 .7 .75
        fog amount 1.5 2 2.5 2.5 3 / decay 2 2 1.7 1.5 1.4
        brightness add .1 .2 .3 .4 .5
        contrast factor .4 .3 .2 .1 .05
        elastic_transform alpha 488 488 12.2 17.08 29.28 / sigma 170.8 19.52 2.44 2.44 2.44 \
            / affine 24.4 48.8 4.88 4.88 4.88
        pixelate scale .6 .5 .4 .3 .25
        jpeg_compression quality 25 18 15 10 7
        speckle_noise sd .15 .2 .35 .45 .6
        gaussian_blur sigma 1 2 3 4 6
        spatter loc .65 .65 .65 .65 .67 / sd .3 .3 .3 .3 .4 / sigma 4 3 2 1 1 / threshold .69 .68 .68 .65 .65 \
            / intensity .6 .6 .5 1.5 1.5 / mud 0 0 0 1 1
        saturate factor .3 .1 2 5 20 / add 0 0 0 .1 .2
    """,
    "tiny-imagenet-c": """
        gaussian_noise sd .04 .08 .12 .15 .18
        shot_noise photons 250 100 50 30 15
        impulse_noise amount .01 .02 .05 .08 .14
        defocus_blur radius .5 1 1.5 2.5 3 / alias .6 .1 .1 .01 .1
        glass_blur sigma .1 .5 .6 .7 .9 / reach 1 1 1 2 2 / rounds 1 1 2 1 2
        motion_blur radius 10 10 10 10 12 / sigma 1 1.5 2 2.5 3
        zoom_blur zoom 1.06 1.11 1.16 1.21 1.26 / step .01 .01 .01 .01 .01
        snow mean .1 .1 .15 .25 .3 / sd .2 .2 .3 .3 .3 / flake 1 1 1.75 2.25 1.25 / threshold .6 .5 .55 .6 .65 \
            / radius 8 10 10 12 14 / sigma 3 4 4 6 12 / mix .8 .8 .7 .65 .6
        frost keep 1 .9 .8 .75 .7 / amount .3 .4 .45 .5 .55
        fog amount .4 .7 1 1.5 2 / decay 3 3 2.5 2 1.75
        brightness add .1 .2 .3 .4 .5
        contrast factor .4 .3 .2 .1 .05
        elastic_transform alpha 0 3.2 6.4 6.4 10.24 / sigma 0 19.2 5.12 1.92 1.92 / affine 5.12 3.84 3.84 1.92 1.28
        pixelate scale .9 .8 .7 .6 .5
        jpeg_compression quality 65 58 50 40 25
        speckle_noise sd .15 .2 .25 .3 .35
        gaussian_blur sigma .5 .75 1 1.25 1.5
        spatter loc .62 .65 .65 .65 .65 / sd .1 .1 .3 .1 .1 / sigma .7 .8 1 .7 .5 / threshold .7 .7 .69 .68 .67 \
            / intensity .6 .6 .6 .6 .6 / mud 0 0 0 1 1
        saturate factor .3 .1 2 5 30 / add 0 0 0 .1 .2
    """,
    "cifar-c": """
        gaussian_noise sd .04 .06 .08 .09 .10
        shot_noise photons 500 250 100 75 50
        impulse_noise amount .01 .02 .03 .05 .07
        defocus_blur radius .3 .4 .5 1 1.5 / alias .4 .5 .6 .2 .1
        glass_blur sigma .05 .25 .4 .25 .4 / reach 1 1 1 1 1 / rounds 1 1 1 2 2
        motion_blur radius 6 6 6 8 9 / sigma 1 1.5 2 2 2.5
        zoom_blur zoom 1.06 1.11 1.16 1.21 1.26 / step .01 .01 .01 .01 .01
        snow mean .1 .1 .15 .25 .3 / sd .2 .2 .3 .3 .3 / flake 1 1 1.75 2.25 1.25 / threshold .6 .5 .55 .6 .65 \
            / radius 8 10 10 12 14 / sigma 3 4 4 6 12 / mix .95 .9 .9 .85 .8
        frost keep 1 1 .9 .85 .75 / amount .2 .3 .4 .4 .45
        fog amount .2 .5 .75 1 1.5 / decay 3 3 2.5 2 1.75
        brightness add .05 .1 .15 .2 .3
        contrast factor .75 .5 .4 .3 .15
        elastic_transform alpha 0 1.6 2.56 3.2 3.2 / sigma 0 6.4 1.92 1.28 .96 / affine 2.56 2.24 1.92 1.6 .96
        pixelate scale .95 .9 .85 .75 .65
        jpeg_compression quality 80 65 58 50 40
        speckle_noise sd .06 .1 .12 .16 .2
        gaussian_blur sigma .4 .6 .7 .8 1
        spatter loc .62 .65 .65 .65 .65 / sd .1 .1 .3 .1 .1 / sigma .7 .8 1 .7 .5 / threshold .7 .7 .69 .69 .68 \
            / intensity .5 .5 .5 .6 .6 / mud 0 0 0 1 1
        saturate factor .3 .1 1.5 2 2.5 / add 0 0 0 .1 .2
    """,
    "medmnist-c-blood": """
        pixelate scale .6 .5 .4 .3 .25
        jpeg_compression quality 50 30 15 10 7
        defocus_blur radius 2 3 4 5 6 / alias .01 .1 .1 .1 .1
        motion_blur radius 3 5 10 10 10 / sigma 3 5 5 7 9
        brightness_up factor 1.1 1.2 1.3 1.35 1.4
        brightness_down factor .9 .8 .7 .6 .5
        contrast_up factor 1.1 1.15 1.2 1.25 1.3
        contrast_down factor .9 .8 .7 .6 .5
        saturate factor 1 1 1 1 1 / add .05 .1 .15 .17 .2
        stain_deposit count 1 2 3 3 3
        bubble radius 5 7 10 12 15 / count 10 10 10 12 12
    """,
}
ALL = [(name, corruption) for name in PRESETS for corruption in preset(name)]


def published(name):
    """corruption -> parameter -> five values, of the table above."""
    found = {}
    for line in TABLES[name].strip().splitlines():
        corruption, rest = line.split(maxsplit=1)
        rows = [row.split() for row in rest.split("/")]
        found[corruption] = {parameter: [float(value) for value in values] for parameter, *values in rows}
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_published_corruptions(name):
    assert list(preset(name)) == list(published(name))


@pytest.mark.parametrize(("name", "corruption"), ALL)
def test_a_preset_has_the_published_values(name, corruption):
    of, table = preset(name)[corruption], published(name)[corruption]
    assert of.name == corruption
    assert len(of.settings) == 5
    for severity, settings in enumerate(of.settings):
        assert settings == pytest.approx({parameter: values[severity] for parameter, values in table.items()})
        assert set(settings) | set(of.free) == set(of.operation.parameters)


@pytest.mark.parametrize(("name", "corruption"), ALL)
def test_every_severity_can_be_made_at_the_published_size_and_at_others(name, corruption, cell):
    of = preset(name)[corruption]
    for side in (SIDES[name], 28, 96):
        image = cv2.resize(cell, (side, side))
        before = image.copy()
        for settings in of.settings:
            drawn = of.corruption().draw(settings, np.random.default_rng(3), {"side": side})
            assert {key: drawn[key] for key in settings} == settings
            made = of.operation(image, **{key: value for key, value in drawn.items() if key != "op"})
            assert (made.dtype, made.shape) == (np.uint8, image.shape)
        assert (made != image).any()
        assert (image == before).all()


def test_a_motion_is_drawn_at_the_published_angles():
    of = preset("medmnist-c-blood")["motion_blur"]
    rng = np.random.default_rng(0)
    angles = [of.corruption().draw(of.settings[0], rng, {})["angle"] for _ in range(200)]
    assert -45 <= min(angles) < -40
    assert 40 < max(angles) <= 45


def test_what_a_preset_gives_is_not_drawn():
    # Our own spatter is water or mud by chance, the published one as the severity says.
    assert CORRUPTIONS["spatter"].free == {"mud": (0, 1)}
    assert preset("cifar-c")["spatter"].free == {}


def test_the_roles_are_the_published_ones():
    roles = {name: of.role for name, of in preset("imagenet-c").items()}
    assert {name for name, role in roles.items() if role == VALIDATION} == {
        "speckle_noise", "gaussian_blur", "spatter", "saturate",
    }  # fmt: skip
    blood = preset("medmnist-c-blood")
    assert blood["contrast_down"].role == blood["bubble"].role == TEST


def test_names_of_the_blood_preset_that_are_none_of_ours_say_what_they_do():
    operations = {name: of.operation.name for name, of in preset("medmnist-c-blood").items()}
    assert operations == {
        "pixelate": "pixelate",
        "jpeg_compression": "jpeg",
        "defocus_blur": "defocus_blur",
        "motion_blur": "motion_blur",
        "brightness_up": "enhance_brightness",
        "brightness_down": "enhance_brightness",
        "contrast_up": "enhance_contrast",
        "contrast_down": "enhance_contrast",
        "saturate": "saturate",
        "stain_deposit": "stain_deposit",
        "bubble": "bubbles",
    }


def test_an_unknown_preset_is_named_with_the_nearest():
    with pytest.raises(UnknownName, match=r"no preset named 'cifar10-c'. Did you mean 'cifar-c'\? Known: cifar-c, "):
        preset("cifar10-c")
