"""What notebooks show: HTML that stands by itself in a cell, and how far work has come."""
