"""Sets of images: what one is, how it is read, written and handed on."""
