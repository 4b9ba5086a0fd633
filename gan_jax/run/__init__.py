"""One run and its folder: the loop, what it writes, and how that is read again."""
