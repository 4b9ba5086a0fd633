"""What a program shares with its machine: files, signals, progress on a terminal."""
