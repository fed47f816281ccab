"""What will be played, byte by byte: scripts and their segments; and HTTP/1.1, read strictly."""
