"""The pages: a file for each part, with the addresses of that part."""
