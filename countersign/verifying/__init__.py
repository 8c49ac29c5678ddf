"""Verify an exported log: needs the export and the key, no network, no store, and nothing of who wrote it."""
