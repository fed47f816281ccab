"""What will be played, byte by byte: a script, its segments, and HTTP/1.1 read strictly."""
