"""The report of a run: one HTML page that opens offline. Imports jinja2, markupsafe and cv2; import it where used."""

from .page import RunReport as RunReport
from .page import page as page

__all__ = ["RunReport", "page"]
