"""Where state lives: ports, a Redis store, and an in-memory sibling that passes the same contract suite."""
