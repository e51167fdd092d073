"""Policies: what may be done to a picture, how likely and how strong; one TOML file each."""
