"""Read the roster of five accounts that docs/aws.md is about."""

from pathlib import Path

FOLDER = Path(__file__).parents[3] / "docs/aws"
FIVE = (FOLDER / "countersign.toml").read_text("utf-8")
IDENTITIES = "999999999999"
WORKER = "arn:aws:iam::999999999999:role/countersign-worker"
SHOWN = ("countersign", "prod-payments")
"""Whose CloudFormation templates stand beside the guide; the others are alike."""
