"""The people's side of Countersign: intake API, review desk, surfaces, console."""
