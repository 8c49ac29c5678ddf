"""Who can mint: one port, AWS and a dry run, and the pure planning that both share."""
