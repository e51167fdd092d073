"""`curate review`: the page of a scan, served to this machine's own browser, and the decisions that are taken in it."""
