"""What pictures show once measured: properties, hashes, embeddings, neighbours, copies, a label probe."""
