"""The rules of Countersign: pure functions over values. No IO, clock, randomness, environment or logging."""
