"""The local AWS of demo and tests: on loopback, enforcing, ended with its parent, keeping what it should."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from countersign.ops.ministack import (
    BUCKET,
    LocalAwsError,
    NotEnforced,
    Prepared,
    check_enforced,
    client,
    local_aws,
    set_up,
)
from tests.worlds.ministack import REPORT, SECRET, Ministack, a_plan, new_grant_id
from workers.providers.access import Identity, Keys
from workers.providers.port import Handle, ProviderError


def listeners(pid: int) -> set[str]:
    """Local addresses the process listens on, as Linux spells them: 0100007F is 127.0.0.1."""
    own = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own}


def test_it_says_in_aws_words_that_it_enforces(aws: Ministack):
    words = check_enforced(aws.endpoint, aws.prepared)
    assert "is not authorized to perform: s3:PutObject" in words


def test_without_enforcement_it_is_refused(tmp_path):
    with local_aws(tmp_path, enforce_iam=False) as server:
        assert server.auth == "disabled"
        prepared = set_up(server.endpoint)
        with pytest.raises(NotEnforced, match="IAM is not enforced"):
            check_enforced(server.endpoint, prepared)


def test_an_unenforced_aws_fails_what_the_policy_tests_show(tmp_path):
    """The tests on policy can fail: on an AWS without IAM a session reads and writes what was never approved."""
    with local_aws(tmp_path, enforce_iam=False) as server:
        loose = Ministack(server.endpoint, set_up(server.endpoint))
        provider, grant = loose.provider(), new_grant_id()
        secret = provider.mint(grant, a_plan()).secret
        provider.revoke(Handle(grant, a_plan()))
        assert loose.read(secret, SECRET) == loose.write(secret) == "allow"


def test_a_grant_that_could_do_nothing_is_no_enforcement_either(aws: Ministack):
    iam, role = aws.root("iam"), "countersign-base-analytics"
    everybody = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
    iam.put_role_policy(RoleName=role, PolicyName="a-mistake", PolicyDocument=everybody)
    try:
        with pytest.raises(NotEnforced, match="refuses what a grant allows"):
            check_enforced(aws.endpoint, aws.prepared)
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="a-mistake")


def test_it_listens_on_loopback_only_and_is_gone_afterwards(tmp_path):
    with local_aws(tmp_path) as server:
        set_up(server.endpoint)
        assert listeners(server.pid) == {"0100007F"}
        assert os.getsid(server.pid) == server.pid  # Ctrl-C in the terminal does not reach it
    assert not Path(f"/proc/{server.pid}").exists()


def test_a_clean_stop_keeps_buckets_roles_and_denies_but_no_session(tmp_path):
    grant = new_grant_id()
    with local_aws(tmp_path) as server:
        first = Ministack(server.endpoint, set_up(server.endpoint))
        first.root("s3").put_object(Bucket=BUCKET, Key="kept.txt", Body=b"kept")
        secret = first.provider().mint(grant, a_plan()).secret
        first.provider().revoke(Handle(grant, a_plan()))
    with local_aws(tmp_path) as server:
        second = Ministack(server.endpoint, set_up(server.endpoint))
        assert second.root("s3").get_object(Bucket=BUCKET, Key="kept.txt")["Body"].read() == b"kept"
        assert second.provider().leftovers(a_plan()) == [grant]
        assert second.read(secret) in {"InvalidAccessKeyId", "InvalidClientTokenId"}
        check_enforced(server.endpoint, second.prepared)
        stale = Prepared(first.prepared.minter, first.prepared.revoker)
        with pytest.raises(ProviderError):  # each set-up gives new keys; the old ones are no longer good
            Ministack(server.endpoint, stale).provider().mint(new_grant_id(), a_plan())


def test_setting_up_twice_changes_nothing_but_the_keys(aws: Ministack, tmp_path):
    with local_aws(tmp_path) as server:
        set_up(server.endpoint)
        again = Ministack(server.endpoint, set_up(server.endpoint))
        iam = again.root("iam")
        assert len(iam.list_attached_role_policies(RoleName="countersign-base-analytics")["AttachedPolicies"]) == 1
        assert len(iam.list_access_keys(UserName="countersign-minter")["AccessKeyMetadata"]) == 1
        role = iam.get_role(RoleName="countersign-base-analytics")["Role"]
        assert role["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith(":policy/countersign-boundary")
        check_enforced(server.endpoint, again.prepared)


def test_what_an_older_version_set_up_is_brought_up_to_date(tmp_path):
    nothing = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
    with local_aws(tmp_path) as server:
        old = Ministack(server.endpoint, set_up(server.endpoint))
        iam = old.root("iam")
        iam.update_assume_role_policy(RoleName="countersign-base-analytics", PolicyDocument=nothing)
        for name in ("countersign-boundary", "countersign-base-analytics"):
            arn = f"arn:aws:iam::000000000000:policy/{name}"
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=nothing, SetAsDefault=True)
        with pytest.raises(ProviderError):
            check_enforced(server.endpoint, old.prepared)
        for _ in range(6):  # a managed policy has at most five versions
            check_enforced(server.endpoint, set_up(server.endpoint))


def test_the_bucket_holds_what_the_story_needs_and_the_role_may_read_and_write_all_of_it(aws: Ministack):
    everything = a_plan(actions=["s3:GetObject", "s3:PutObject"], resources=[f"arn:aws:s3:::{BUCKET}/*"])
    secret = aws.provider().mint(new_grant_id(), everything).secret
    assert aws.read(secret, REPORT) == aws.read(secret, SECRET) == "allow"
    assert aws.write(secret, "other/new.csv") == "allow"


def test_it_dies_with_its_parent(tmp_path):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom countersign.ops.ministack import local_aws\n"
        "with local_aws(Path(sys.argv[1])) as server:\n    print(server.pid, flush=True)\n    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_taken_port_is_told_with_the_servers_own_words(aws: Ministack, tmp_path):
    port = int(aws.endpoint.rpartition(":")[2])
    with pytest.raises(LocalAwsError, match="already in use"), local_aws(tmp_path, port=port):
        pass


def test_an_end_by_exception_stops_it_too(tmp_path):
    with pytest.raises(ZeroDivisionError), local_aws(tmp_path) as server:
        1 / 0  # noqa: B018
    assert server.process.returncode is not None


def test_the_minter_may_nothing_but_mint(aws: Ministack):
    keys = aws.prepared.minter.keys
    assert keys is not None
    with pytest.raises(ClientError, match="AccessDenied"):
        client("s3", aws.endpoint, keys).get_object(Bucket=BUCKET, Key=REPORT)
    with pytest.raises(ClientError, match="not authorized"):
        client("iam", aws.endpoint, keys).list_users()


def test_what_is_prepared_shows_no_key():
    prepared = Prepared(Identity(Keys("AKIAX", "s3cr3t")), Identity(Keys("AKIAY", "s3cr3t")))
    assert "s3cr3t" not in repr(prepared)
    assert "s3cr3t" not in repr(prepared.access("http://127.0.0.1:1"))
