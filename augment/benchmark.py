"""The benchmark: which corruptions at which severities, how the policy stands to them, and the sets to be made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from curate.builds import BENCHMARK, BenchmarkRecord, ComposedSet, ComposedTracks, CorruptedSet
from curate.stage.errors import DataError
from curate.stage.progress import Reporter
from curate.stage.shortness import short_repr

from .calibration import SAMPLE as CALIBRATED_ON
from .calibration import Calibrated, Specimens, calibrate, distances_of
from .configs import CALIBRATED, BuildConfig
from .corruptions.corruption import CORRUPTIONS, SEVERITIES, TEST, VALIDATION, Corruption
from .corruptions.presets import preset
from .listings import COMPOSED_COPIES
from .making import COMPOSED_SEVERITIES, Entry
from .overlap import DRAWS, IDENTICAL, Verdict, overlap, worst
from .overlap import SAMPLE as COMPARED_ON
from .policies.policy import Policy

COMPOSED = (2, 3)


@dataclass(frozen=True, eq=False)
class Benchmark:
    """What is to be made, and what is known of it beforehand.

    corruptions  name -> Corruption;  calibrated  name -> the values and distances of its five severities
    verdicts     name of a corruption or composed track -> how the policy stands to it
    entries      the sets, in order;  notes  what a person should know
    """

    severities: str
    features: str
    corruptions: Mapping[str, Corruption]
    calibrated: Mapping[str, Calibrated]
    verdicts: Mapping[str, Verdict]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]

    __repr__ = short_repr

    def record(self, images: Mapping[str, int]) -> BenchmarkRecord:
        """benchmark.json: every set with its corruption, severity, values, distance and verdict.

        images  set -> how many images it has
        """
        return BenchmarkRecord(
            severities=self.severities,
            distance=f"mean cosine distance of {self.features} features from the clean picture",
            composed=ComposedTracks(COMPOSED_SEVERITIES, COMPOSED_COPIES),
            sets=tuple(self._set_record(entry, images[entry.name]) for entry in self.entries),
        )

    def _set_record(self, entry: Entry, images: int) -> CorruptedSet | ComposedSet:
        name = entry.name.removeprefix(f"{BENCHMARK}/")
        verdict = self.verdicts[entry.corruption or name]
        if not entry.corruption:
            return ComposedSet(
                name=name,
                role=entry.role,
                corruption=name,
                composed=entry.compose,
                verdict=verdict.verdict,
                because=verdict.because,
                images=images,
            )
        corruption, severities = self.corruptions[entry.corruption], self.calibrated[entry.corruption]
        return CorruptedSet(
            name=name,
            role=entry.role,
            corruption=entry.corruption,
            severity=entry.severity,
            family=corruption.family,
            sets=corruption.sets,
            values=severities.settings[entry.severity - 1],
            distance=severities.distances[entry.severity - 1],
            verdict=verdict.verdict,
            because=verdict.because,
            images=images,
        )


def benchmark_of(
    policy: Policy,
    specimens: Specimens,
    present: Mapping[str, bool],
    config: BuildConfig,
    reporter: Reporter,
) -> Benchmark:
    """Calibrate the severities on some pictures, and hold the policy against every corruption.

    present  split -> whether it has images: test corruptions are of test pictures, validation ones of val pictures
    Raises DataError where the policy contains a corruption of the test, unless that is allowed.
    """
    roles = {TEST: present["test"], VALIDATION: present["val"]}
    chosen = {n: c for n, c in chosen_corruptions(config).items() if roles[c.role]}
    notes: list[str] = []
    reporter.say(f"measuring five severities of {len(chosen)} corruptions")
    with reporter.stage("measuring severities", len(chosen), "corruptions") as advance:
        calibrated = severities_of(chosen, specimens, config.severities, notes.append, advance)
    kept = {name: chosen[name] for name in calibrated}
    if policy.steps():
        reporter.say(f"comparing the policy {policy.name} with the corruptions")
    features = specimens.features
    with reporter.stage("comparing", len(kept), "corruptions") as advance:
        verdicts = overlap(
            policy, specimens, kept, calibrated, sample=features.some(COMPARED_ON), draws=features.some(DRAWS),
            progress=advance,
        )  # fmt: skip
    unmeasured = sorted(name for name, verdict in verdicts.items() if np.isnan(verdict.ratio))
    if unmeasured and policy.steps():
        height, width = specimens.pictures[0].shape[:2]
        notes.append(
            f"whether {policy.name} comes near to a corruption cannot be told in pictures of {width}x{height}: "
            f"{len(unmeasured)} of {len(verdicts)} corruptions were held against its operations alone"
        )
    entries = _benchmark_sets(kept)
    for entry in entries:
        if entry.compose:
            parts = [verdicts[name] for name, corruption in kept.items() if corruption.role == entry.role]
            verdicts[entry.name.partition("/")[2]] = worst(parts, entry.name.partition("/")[2])
    if not config.allow_overlap:
        _refuse(policy, verdicts, kept)
    return Benchmark(config.severities, features.name, kept, calibrated, verdicts, entries, tuple(notes))


def chosen_corruptions(config: BuildConfig) -> dict[str, Corruption]:
    """The corruptions that a build asks for, by name."""
    if config.severities == CALIBRATED:
        return {name: c for name, c in CORRUPTIONS.items() if set(c.sets) & set(config.benchmark)}
    return {name: published.corruption() for name, published in preset(config.severities).items()}


def severities_of(
    corruptions: Mapping[str, Corruption],
    specimens: Specimens,
    severities: str,
    say: Callable[[str], None],
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Calibrated]:
    """The five severities of each corruption: calibrated on these pictures, or as published, and measured on them.

    severities  "calibrated", or the name of a preset
    """
    sample = specimens.features.some(CALIBRATED_ON)
    if severities == CALIBRATED:
        return calibrate(specimens, corruptions, sample=sample, say=say, progress=progress)
    measured: dict[str, Calibrated] = {}
    for name, published in preset(severities).items():
        if name in corruptions:
            progress(len(measured))
            steps = distances_of(specimens, corruptions[name], published.settings, sample=sample)
            measured[name] = Calibrated(name, published.settings, (), steps, True, ())
    return measured


def _benchmark_sets(corruptions: Mapping[str, Corruption]) -> tuple[Entry, ...]:
    """The sets of a benchmark: one for each corruption and severity, and the composed tracks of each role."""
    entries = []
    for name, corruption in corruptions.items():
        listing = f"{corruption.role} sample"
        entries += [Entry(f"benchmark/{name}-{s}", listing, name, s, 0, corruption.role) for s in SEVERITIES]
    for role, suffix in ((TEST, ""), (VALIDATION, "-validation")):
        families = {c.family for c in corruptions.values() if c.role == role}
        for number in COMPOSED:
            if len(families) >= number:
                entries.append(Entry(f"benchmark/composed-{number}{suffix}", f"{role} composed", "", 0, number, role))
    return tuple(entries)


def _refuse(policy: Policy, verdicts: Mapping[str, Verdict], corruptions: Mapping[str, Corruption]) -> None:
    """Raise DataError where the training policy contains what the test measures."""
    same = [name for name, c in corruptions.items() if c.role == TEST and verdicts[name].verdict == IDENTICAL]
    if not same:
        return
    more = f" and {len(same) - 5} more" if len(same) > 5 else ""
    raise DataError(
        f"policy {policy.name} contains what the benchmark tests: {', '.join(same[:5])}{more}. A model would be tested "
        "on what it was trained on. Take another policy, or --allow-overlap, and results are reported separately."
    )
