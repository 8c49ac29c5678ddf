"""A credential that is variables reaches the command that it is for, hides elsewhere, and steers no program."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from countersign.commands.asking import _access
from countersign.commands.common import WrongOption
from countersign.models import Credential
from countersign.run import child_environ

VARIABLES = {"PGUSER": "cs_1", "PGPASSWORD": "hush-hush"}
OURS = {"HOME": "/root", "AWS_PROFILE": "admin", "PGUSER": "me"}


def test_variables_come_on_top_of_ours_and_replace_no_aws_identity():
    assert child_environ(Credential(environment=VARIABLES), OURS) == OURS | VARIABLES
    aws = Credential(access_key_id="A", secret_access_key="s", session_token="t")
    assert "AWS_PROFILE" not in child_environ(aws, OURS)


def test_no_value_shows():
    credential = Credential(environment=VARIABLES)
    assert "hush" not in f"{credential!r} {credential} {credential.model_dump_json()}"


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PATH", "PYTHONSTARTUP", "not a name"])
def test_a_server_cannot_steer_which_code_the_command_runs(name: str):
    with pytest.raises(ValidationError, match="the credential brings"):
        Credential(environment={name: "/tmp/evil.so"})


OPTIONS = {"action": "db:select", "resource": "orders/public.customers", "role": "orders-reader",
           "access_action": None, "access_resource": None, "provider": None}  # fmt: skip


def test_the_provider_is_named_beside_the_role():
    access = _access({**OPTIONS, "provider": "orders-db"})
    assert access == {
        "provider": "orders-db",
        "role": "orders-reader",
        "actions": ["db:select"],
        "resources": ["orders/public.customers"],
    }
    assert "provider" not in (_access(OPTIONS) or {})
    with pytest.raises(WrongOption, match="add --role"):
        _access({**OPTIONS, "role": None, "provider": "orders-db"})
