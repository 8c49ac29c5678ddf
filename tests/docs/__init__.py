"""Hold the manuals in docs/ to the code."""
