"""What is computed from every image once and kept on disk, by content."""
