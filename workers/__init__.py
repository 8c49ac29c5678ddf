"""The effects of Countersign: Redis, RQ, clouds, keys."""
