"""What an intruder would do is refused in a session of a grant, and stops at once where it is not."""

from __future__ import annotations

import pytest

from countersign.ops.agent import ASTRAY, LetThrough, refusals
from tests.worlds.ministack import Ministack, a_plan, aws, new_grant_id
from workers.data.levels import load_levels

__all__ = ["aws"]


def test_every_step_is_refused_in_a_grants_session_and_none_goes_on_where_one_is_not(aws: Ministack) -> None:
    secret = aws.provider().mint(new_grant_id(), a_plan()).secret
    tried = list(refusals(lambda service: aws.as_session(service, secret)))
    assert [action for action, _ in tried] == [action for action, *_ in ASTRAY]
    with pytest.raises(LetThrough, match="iam:ListUsers"):
        list(refusals(aws.root))
    with pytest.raises(aws.root("iam").exceptions.NoSuchEntityException):
        aws.root("iam").get_user(UserName="backdoor")


@pytest.mark.parametrize("action", [action for action, *_ in ASTRAY])
def test_every_step_is_an_action_that_rules_and_flags_know(action: str) -> None:
    assert load_levels().known(action)
