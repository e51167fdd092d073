"""The report of a scan: one HTML page that opens offline."""

from .page import page as page

__all__ = ["page"]
