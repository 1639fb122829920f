"""Wake-ups between parts of a node, and later between nodes."""
