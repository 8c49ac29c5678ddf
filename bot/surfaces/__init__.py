"""Where people see and answer requests; one file (plus renderer) each."""
