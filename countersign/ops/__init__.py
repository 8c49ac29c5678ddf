"""Operators' commands: a composition root of their own, loaded by name only when one is asked for."""
