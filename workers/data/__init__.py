"""What is known about AWS actions: a generated table of access levels, and our own reviewed lists."""
