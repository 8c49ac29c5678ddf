"""The gates stop a call exactly where they say, count what they see, and change nothing else."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from redis.backoff import NoBackoff
from redis.retry import Retry

from countersign.ops.valkey import embedded_valkey
from tests.worlds.aws_gate import DENIED, SERVER_ERROR, THROTTLED, AwsGate
from tests.worlds.aws_stub import AwsStub
from tests.worlds.redis_gate import MISCONF, QUIET, RedisGate, lua_scripts
from tests.worlds.valkey import Valkey
from workers.stores.port import Commit
from workers.stores.redis import connect

BUMP = "return redis.call('INCR', KEYS[1])"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as one:
        yield one.url


@pytest.fixture
def direct(server: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server) as client:
        client.flushall()
        client.script_flush()
        yield client


@pytest.fixture
def gate(server: str, direct: redis.Redis) -> Iterator[RedisGate]:
    with RedisGate(server, ignore=QUIET, scripts={"bump": BUMP}) as one:
        yield one


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(gate: RedisGate, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    retry = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(gate.url, retry=retry, protocol=request.param, socket_timeout=10) as one:
        yield one


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as one:
        yield one


def test_redis_answers_come_through_unchanged(client: redis.Redis, direct: redis.Redis) -> None:
    client.hset("h", mapping={"a": "1", "b": "\r\n$3\r\n"})
    client.set("big", b"\x00\r\n" * 400_000)
    client.zadd("z", {"m": 1.5})
    for ask in (
        lambda one: one.hgetall("h"),
        lambda one: one.get("big"),
        lambda one: one.get("none"),
        lambda one: one.zrange("z", 0, -1, withscores=True),
        lambda one: one.eval("return {1, {2, 'x', {}}, false, redis.status_reply('OK')}", 0),
        lambda one: one.lrange("none", 0, -1),
    ):
        via_gate, straight = ask(client), ask(direct)
        assert str(via_gate).replace("(", "[").replace(")", "]") == str(straight).replace("(", "[").replace(")", "]")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.incr("h")


def test_redis_calls_are_counted_by_name_and_pipelines_in_order(client: redis.Redis, gate: RedisGate) -> None:
    bump = client.register_script(BUMP)
    bump(keys=["n"])
    bump(keys=["n"])
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", 1).get("a")
        assert pipe.execute() == [True, b"1"]
    client.ping()
    assert gate.calls == ["EVALSHA:bump", "EVALSHA:bump", "EVALSHA:bump", "MULTI", "SET", "GET", "EXEC"]
    gate.reset()
    assert gate.calls == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_redis_holds_a_call_on_either_side_of_its_effect(
    when: Any, client: redis.Redis, gate: RedisGate, direct: redis.Redis, pool: ThreadPoolExecutor
) -> None:
    hold = gate.hold(2, when, only="INCRBY")
    assert client.incr("n") == 1
    client.set("other", 1)
    answer = pool.submit(client.incr, "n")
    assert hold.wait().name == "INCRBY"
    assert direct.get("n") == (b"1" if when == "before" else b"2")
    assert not answer.done()
    hold.release()
    assert answer.result(10) == 2
    assert client.incr("n") == 3  # only the second was held


@pytest.mark.parametrize(("when", "left"), [("before", None), ("after", b"1")])
def test_redis_a_dropped_call_is_an_answer_that_never_comes(
    when: Any, left: Any, client: redis.Redis, gate: RedisGate, direct: redis.Redis, pool: ThreadPoolExecutor
) -> None:
    gate.hold(1, when)
    answer = pool.submit(client.incr, "n")
    gate.wait_held()
    gate.drop()
    with pytest.raises(redis.ConnectionError):
        answer.result(10)
    assert direct.get("n") == left


@pytest.mark.parametrize(("when", "left"), [("before", None), ("after", b"1")])
def test_redis_cut(when: Any, left: Any, client: redis.Redis, gate: RedisGate, direct: redis.Redis) -> None:
    gate.cut(1, when)
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert direct.get("n") == left
    assert client.incr("n") == (1 if left is None else 2)  # a new connection works


def test_redis_a_call_of_a_client_that_died_never_happens(
    gate: RedisGate, direct: redis.Redis, pool: ThreadPoolExecutor
) -> None:
    """As after a SIGKILL: the kernel closes the socket, then the gate is told to go on."""
    client = redis.Redis.from_url(gate.url, retry=Retry(NoBackoff(), 0))
    connection = client.connection_pool.get_connection()
    hold = gate.hold(1, "before", only="SET")
    connection.send_command("SET", "n", 1)
    hold.wait()
    connection.disconnect()
    hold.release()
    with redis.Redis.from_url(gate.url) as later:
        later.set("marker", 1)
    assert direct.get("n") is None
    client.close()


def test_redis_a_pipeline_is_held_in_its_middle(
    client: redis.Redis, gate: RedisGate, direct: redis.Redis, pool: ThreadPoolExecutor
) -> None:
    pipe = client.pipeline(transaction=False)
    for name in "abc":
        pipe.set(name, 1)
    hold = gate.hold(2, "before", only="SET")
    answers = pool.submit(pipe.execute)
    hold.wait()
    gate.wait_for_calls(2)
    assert direct.mget("a", "b", "c") == [b"1", None, None]
    hold.release()
    assert answers.result(10) == [True, True, True]


def test_redis_answers_in_the_servers_place_keep_their_order(client: redis.Redis, gate: RedisGate) -> None:
    gate.answer(2, MISCONF, only="SET")
    gate.answer(None, MISCONF, only="DEL")
    pipe = client.pipeline(transaction=False)
    pipe.set("a", 1).set("b", 2).set("c", 3).delete("a").get("a").delete("c")
    first, second, third, fourth, fifth, sixth = pipe.execute(raise_on_error=False)
    assert (first, third, fifth) == (True, True, b"1")
    assert all("MISCONF" in str(answer) for answer in (second, fourth, sixth))


def test_redis_own_answers_wait_for_a_held_one(client: redis.Redis, gate: RedisGate, pool: ThreadPoolExecutor) -> None:
    hold = gate.hold(1, "after", only="SET")
    gate.answer(1, MISCONF, only="DEL")
    pipe = client.pipeline(transaction=False)
    answers = pool.submit(pipe.set("a", 1).delete("a").get("a").execute, False)
    hold.wait()
    gate.wait_for_calls(3)
    hold.release()
    first, second, third = answers.result(10)
    assert (first, third) == (True, b"1")
    assert "MISCONF" in str(second)


def test_redis_pushes_are_no_answers(client: redis.Redis, gate: RedisGate, direct: redis.Redis) -> None:
    with client.pubsub() as listener:
        listener.subscribe("news")
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        for number in range(3):
            direct.publish("news", number)
        assert [listener.get_message(timeout=5)["data"] for _ in range(3)] == [b"0", b"1", b"2"]
        assert client.incr("n") == 1


def test_redis_records_answers(server: str) -> None:
    with RedisGate(server, record=True, ignore=QUIET) as gate, redis.Redis.from_url(gate.url) as client:
        client.set("a", "canary")
        client.get("a")
        assert [call.answer for call in gate.log] == [b"+OK\r\n", b"$6\r\ncanary\r\n"]


def test_redis_nothing_held_is_told(gate: RedisGate) -> None:
    hold = gate.hold(1, "before")
    with pytest.raises(AssertionError, match="nothing came"):
        hold.wait(0.05)
    assert not hold.held


def test_redis_many_clients_at_once(gate: RedisGate, pool: ThreadPoolExecutor, direct: redis.Redis) -> None:
    def work(_number: int) -> None:
        with redis.Redis.from_url(gate.url) as client:
            for _ in range(50):
                client.incr("n")

    list(pool.map(work, range(8)))
    assert direct.get("n") == b"400"
    assert gate.calls == ["INCRBY"] * 400
    assert len({call.client for call in gate.log}) == 8


def test_redis_a_gate_whose_server_is_away_is_away(tmp_path: Path) -> None:
    url = Valkey(tmp_path).url
    with (
        RedisGate(url) as gate,
        redis.Redis.from_url(gate.url, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.ConnectionError),
    ):
        client.ping()


def test_redis_by_socket_file_and_password(tmp_path: Path) -> None:
    with (
        embedded_valkey(tmp_path) as server,
        RedisGate(server.url) as gate,
        redis.Redis.from_url(gate.url) as client,
    ):
        assert client.incr("n") == 1


@pytest.fixture
def stub() -> Iterator[AwsStub]:
    with AwsStub() as one:
        yield one


@pytest.fixture
def aws(stub: AwsStub) -> Iterator[AwsGate]:
    with AwsGate(stub.url) as one:
        yield one


def aws_client(gate: AwsGate, service: str = "sts", attempts: int = 1) -> Any:
    return boto3.client(
        service,
        endpoint_url=gate.url,
        region_name="us-east-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=10),
    )


def assume(gate: AwsGate) -> Callable[[], Any]:
    client = aws_client(gate)
    return lambda: client.assume_role(RoleArn="arn:aws:iam::000000000000:role/r", RoleSessionName="grant-1")


def test_aws_calls_are_counted_by_name(aws: AwsGate) -> None:
    assume(aws)()
    aws_client(aws, "iam").delete_role_policy(RoleName="r", PolicyName="p")
    aws_client(aws, "s3").get_object(Bucket="b", Key="k/ä b")
    aws_client(aws, "dynamodb").list_tables()
    assert aws.calls == ["sts:AssumeRole", "iam:DeleteRolePolicy", "s3:GET /b/k/ä b", "dynamodb:ListTables"]


def test_aws_requests_and_answers_come_through_unchanged(aws: AwsGate, stub: AwsStub) -> None:
    s3 = aws_client(aws, "s3")
    body = bytes(range(256)) * 500
    answer = s3.put_object(Bucket="b", Key="a//b%2Fc?d", Body=body)
    assert answer["ETag"] == '"stub"'
    assert stub.requests[-1].body_holds(body)
    assert stub.requests[-1].path == "/b/a//b%252Fc%3Fd"
    assert s3.head_object(Bucket="b", Key="k")["ContentLength"] == 12345
    assert stub.requests[-1].headers["Host"] == urlsplit(aws.url).netloc  # what was signed
    assert s3.get_object(Bucket="b", Key="k")["ResponseMetadata"]["HTTPHeaders"]["date"] == stub.DATE


@pytest.mark.parametrize(("when", "reached"), [("before", 0), ("after", 1)])
def test_aws_holds_a_call_on_either_side_of_its_effect(
    when: Any, reached: int, aws: AwsGate, stub: AwsStub, pool: ThreadPoolExecutor
) -> None:
    hold = aws.hold(1, when, only="sts:*")
    answer: Future[Any] = pool.submit(assume(aws))
    assert hold.wait().name == "sts:AssumeRole"
    assert len(stub.requests) == len(aws.issued) == reached
    hold.release()
    assert answer.result(10)["Credentials"]["AccessKeyId"] == aws.issued[0].access_key_id


@pytest.mark.parametrize(("when", "reached"), [("before", 0), ("after", 1)])
def test_aws_cut(when: Any, reached: int, aws: AwsGate, stub: AwsStub) -> None:
    aws.cut(1, when)
    with pytest.raises(BotoCoreError):
        assume(aws)()
    assert len(stub.requests) == len(aws.issued) == reached
    assume(aws)()
    assert len(stub.requests) == reached + 1


def test_aws_a_call_of_a_client_that_died_never_happens(aws: AwsGate, stub: AwsStub) -> None:
    hold = aws.hold(1, "before")
    connection = http.client.HTTPConnection("127.0.0.1", aws.port)
    connection.request("GET", "/b/k")
    hold.wait()
    connection.close()
    hold.release()
    assume(aws)()
    assert [request.method for request in stub.requests] == ["POST"]


@pytest.mark.parametrize(
    ("answer", "code"), [(THROTTLED, "Throttling"), (DENIED, "AccessDenied"), (SERVER_ERROR, "InternalFailure")]
)
def test_aws_answers_in_its_place(answer: Any, code: str, aws: AwsGate, stub: AwsStub) -> None:
    aws.answer(1, answer)
    with pytest.raises(ClientError) as refused:
        assume(aws)()
    assert refused.value.response["Error"]["Code"] == code
    assert not stub.requests


def test_aws_throttled_twice_then_done(aws: AwsGate, stub: AwsStub) -> None:
    for nth in (1, 2):
        aws.answer(nth, THROTTLED)
    client = aws_client(aws, attempts=4)
    client.assume_role(RoleArn="arn:aws:iam::000000000000:role/r", RoleSessionName="grant-1")
    assert (len(aws.calls), len(stub.requests)) == (3, 1)


def test_aws_keeps_each_credential_issued(aws: AwsGate) -> None:
    told = [assume(aws)()["Credentials"] for _ in range(3)]
    assert [one.secret_access_key for one in aws.issued] == [one["SecretAccessKey"] for one in told]
    assert [one.session_token for one in aws.issued] == [one["SessionToken"] for one in told]
    assert {one.session for one in aws.issued} == {"grant-1"}
    assert aws.issued[0].expiration == told[0]["Expiration"]
    assert told[0]["SecretAccessKey"] not in repr(aws.issued)


def test_aws_delay_holds_up_one_call_only(aws: AwsGate, pool: ThreadPoolExecutor) -> None:
    aws.delay(1, 30.0, only="s3:*")
    client = aws_client(aws, "s3")
    slow = pool.submit(lambda: client.get_object(Bucket="b", Key="k"))
    aws.wait_for_calls(1)
    assume(aws)()
    aws.close()
    with pytest.raises(BotoCoreError):
        slow.result(10)


async def test_redis_the_stores_own_scripts_are_named(server: str) -> None:
    with RedisGate(server, ignore=QUIET, scripts=lua_scripts()) as gate:
        store = await connect(gate.url)
        seen = await store.records.read(["request:req_1"])
        await store.records.commit(Commit(at=seen.now, expects={"request:req_1": 0}, puts={"request:req_1": "{}"}))
        await store.aclose()
        scripts = [name for name in gate.calls if name.startswith("EVAL")]
        assert {name.partition(":")[2] for name in scripts} == {"read", "commit"}
