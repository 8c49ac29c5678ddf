"""Base roles of an alias, and the role that writes an account's Denies, must be where they are said to be."""

import pytest

from approvers.roster import ConfigError, parse_roster

ROSTER = """
[person.dana]
email = "dana@example.com"

[group.sre]
people = ["dana"]
[account.prod]
id = "123456789012"
environment = "prod"
revoker = "arn:aws:iam::123456789012:role/countersign-revoker"

[role.a]
account = "prod"
arn = "arn:aws:iam::123456789012:role/countersign-base-a"
more_arns = ["arn:aws:iam::123456789012:role/countersign-base-a-2"]
ceiling = ["s3:Get*"]

[role.b]
account = "prod"
arn = "arn:aws:iam::123456789012:role/countersign-base-b"
ceiling = ["s3:Get*"]
"""


def test_a_right_one_is_taken():
    assert parse_roster(ROSTER).roles["a"].more_arns == ("arn:aws:iam::123456789012:role/countersign-base-a-2",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("123456789012:role/countersign-revoker", "222222222222:role/r", r"account\.prod\.revoker: .*222222222222"),
        ("123456789012:role/countersign-base-a-2", "222222222222:role/x", r"role\.a\.more_arns\[0\]: .*222222222222"),
        ("countersign-base-a-2", "countersign-base-a", r"role\.a\.more_arns\[0\]: .*the role's own ARN"),
        ("countersign-base-b", "countersign-base-a-2", r"role\.b\.arn: role 'a' has the same"),
    ],
    ids=["revoker", "account", "own", "twice"],
)  # fmt: skip
def test_what_leads_elsewhere_is_refused_with_its_place(old: str, new: str, said: str):
    assert ROSTER.count(old) == 1
    with pytest.raises(ConfigError, match=said):
        parse_roster(ROSTER.replace(old, new))
