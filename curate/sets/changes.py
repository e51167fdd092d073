"""Whether a set is still what it was when it was read: people save files anew, and move them, while a command runs."""

from __future__ import annotations

from ..stage.errors import DataError
from .archives import signature_of
from .decoding import FilePictures
from .imageset import ImageSet
from .shards import ShardPictures

_AGAIN = "Begin again when nothing writes there any more."


def check_unchanged(images: ImageSet) -> None:
    """Raise DataError where the files that a set was read from are others by now, or have gone."""
    source, pictures = images.source, images.images
    if source.signature is not None:
        try:
            same = signature_of(source.path.stat()) == source.signature
        except OSError:
            same = False
        if not same:
            raise DataError(f"{source.path} has changed since it was read. {_AGAIN}")
    if isinstance(pictures, FilePictures):
        names = [images.ids[row] for row in pictures.changed()]
    elif isinstance(pictures, ShardPictures):
        names = [pictures.parts[part][0].name for part in pictures.changed()]
    else:
        return
    if names:
        files = "1 file has" if len(names) == 1 else f"{len(names):,} files have"
        raise DataError(f"{files} changed in {source.path} since they were read, such as {names[0]}. {_AGAIN}")
