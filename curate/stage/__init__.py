"""What every stage stands on: errors, name tables, workers, progress, whole files, manifests."""
