"""Which suspicions a person looks at first, and how many: all checks by one measure, the chance that they are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .findings import BESIDE_THE_KEPT, BOTH, CATALOGUE, DROP, KEEP, OWN, REVIEW, SEVERITY

if TYPE_CHECKING:
    import pandas as pd

# Of a finding whose check cannot tell: as good as the toss of a coin.
UNKNOWN = 0.5
_OF_A_GROUP = 12


def likeliest_first(findings: pd.DataFrame) -> pd.DataFrame:
    """The rows that await review, those first in which something is most likely wrong.

    findings  findings.parquet, numbered 0, 1, 2 ...

    Columns: row, chance (that any of its findings is right, as if they were independent), finding (the number of the
    likeliest). Of equal chance the gravest check comes first, then the highest score. That a row is a copy counts where
    nothing else is said of it: a copy under another label is as wrong as its label. Of a group that is told as a whole,
    such as that of another scanner, a dozen show what it is; its others come after all else.
    """
    dropped = set(findings.loc[findings["action"] == DROP, "row"])
    own = findings[(findings["row"] >= 0) & (findings["action"] == REVIEW) & ~findings["row"].isin(dropped)]
    copy = own["check"].isin(BESIDE_THE_KEPT)
    own = own[~copy | ~own["row"].isin(own.loc[~copy, "row"])]
    own = own.assign(
        wrong=1 - own["chance"].astype(np.float64).fillna(UNKNOWN),
        gravity=own["check"].map({name: place for place, name in enumerate(SEVERITY)}),
        finding=own.index,
    ).sort_values(["wrong", "gravity"], kind="stable")
    rows = own.groupby("row")
    order = rows.agg(wrong=("wrong", "prod"), gravity=("gravity", "min"), score=("score", "max")).assign(
        finding=rows["finding"].first()
    )
    # A product must not depend on the order of its factors.
    order = order.assign(chance=(1 - order["wrong"]).round(6)).reset_index()
    order = order.sort_values(["chance", "gravity", "score", "row"], ascending=[False, True, False, True])
    order = order.assign(late=_late(findings.loc[order["finding"]])).sort_values("late", kind="stable")
    return order[["row", "chance", "finding"]].reset_index(drop=True)


def _late(findings: pd.DataFrame) -> np.ndarray:
    """bool (k,): findings, in the order given, of groups of which enough stand before them."""
    own = {name for name, check in CATALOGUE.items() if check.groups in (OWN, BOTH)}
    whole = findings["check"].isin(own) & (findings["group"] >= 0)
    return np.asarray(whole & (findings.groupby(["check", "group"]).cumcount() >= _OF_A_GROUP), bool)


def within_budget(findings: pd.DataFrame, budget: int | None) -> tuple[pd.DataFrame, int]:
    """(findings of which at most `budget` rows await review, how many do no longer): the likeliest stay.

    The others are kept, and their findings stay in the table. An image is a look, in a group too: each has a verdict of
    its own, and no more await review than were asked for. None sets no bound.
    """
    if budget is None:
        return findings, 0
    beyond = likeliest_first(findings)["row"].to_numpy()[budget:]
    passed_over = findings["row"].isin(beyond) & (findings["action"] == REVIEW)
    return findings.assign(action=findings["action"].mask(passed_over, KEEP)), len(beyond)


def likely_right(findings: pd.DataFrame) -> dict[str, float]:
    """check -> how many of the rows that it flags are likely flagged rightly: the sum of their chances.

    Only checks are in it that can tell of all of their rows.
    """
    by_check = findings[findings["row"] >= 0].groupby("check", sort=False)["chance"]
    complete = by_check.count() == by_check.size()
    return {str(name): round(float(total), 1) for name, total in by_check.sum()[complete].items()}
