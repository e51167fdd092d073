"""What a scan found, handed to the tools that people look and label with, and what they decided there taken back."""
