"""What comes back of one image from a tool, and the decision that it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..decisions import RELABEL, Proposal
from ..findings import KEEP
from ..proposals import Received
from ..stage.lines import counted


@dataclass(frozen=True)
class Answer:
    """One image as a person left it.

    id, digest  as they were handed on;  given  the name of its class in the set
    decided     what had been decided on it when it was handed on, in words: "drop", "relabel monocyte"
    action      chosen for it: keep, drop or review, "" for none
    label       the class that it has now, "" where nothing is said of it
    confirmed   whether a person said so, even where nothing changed
    by          the tool
    """

    id: str
    digest: str
    given: str
    decided: str
    action: str
    label: str
    by: str
    confirmed: bool = False
    why: str = ""

    @property
    def proposal(self) -> Proposal | None:
        """The decision, None where there is none: an action before a label, a label where it is another."""
        before = self.decided.removeprefix(f"{RELABEL} ") if self.decided.startswith(RELABEL) else self.given
        action, label = self.action, ""
        if not action and self.label and (self.confirmed or self.label != before):
            action = KEEP if self.label == self.given else RELABEL
            label = "" if action == KEEP else self.label
        if not action or (action == self.decided and not self.confirmed):
            return None
        return Proposal(action, self.id, label=label, why=self.why, digest=self.digest, given=self.given, by=self.by)


def received(answers: Iterable[Answer], notes: Iterable[str] = ()) -> Received:
    """The decisions among answers, and how many images nothing was decided on."""
    all_images = [answer.proposal for answer in answers]
    proposals = [proposal for proposal in all_images if proposal is not None]
    left = len(all_images) - len(proposals)
    remarks = [*notes, *([f"nothing was decided on {counted(left, 'image')} of the file"] if left else [])]
    return Received(proposals, tuple(remarks))
