from tests.worlds.ministack import aws

__all__ = ["aws"]
