"""What is done to pictures that are planted: copied, spoiled, drawn."""
