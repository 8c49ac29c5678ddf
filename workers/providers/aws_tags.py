"""Read the tags of an AWS account: every region that it has, by one short session that can do nothing else.

A resource without an entry counts as one without these tags, so what was not read must be told apart: a region that
refuses is left out of the reading, one that fails for the moment fails it whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from workers.providers import documents
from workers.providers.access import AwsAccess
from workers.providers.aws import Clients, Sdk, secret_of, tried, trouble
from workers.providers.port import Refused, Secret, TagReading

AT_ONCE = 8
"""Regions that are read side by side: well below the API's 15 calls a second in one account and region."""
PAGE = 100
FILTERS = 5
"""Several filters in one call must all fit, so each key is a call of its own; more keys than this: no filter at all."""
Found = Mapping[str, Mapping[str, str]]


class AwsTags:
    """Read tags on AWS, as the minter. One instance serves all threads."""

    def __init__(self, access: AwsAccess) -> None:
        self._clients, self._home = Clients(access), access.region

    def tags(self, role_arn: str, keys: Sequence[str], most: int) -> TagReading:
        """Return every resource of the role's account that has one of the keys (none: any). Raises ProviderError."""
        secret = self._session(role_arn)
        asked = self._regions(secret)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(lambda region: self._read(secret, region, keys, most), asked))
        refused = [one for one in found if isinstance(one, Refused)]
        if len(refused) == len(found):
            raise Refused(str(refused[0]))
        resources = {arn: tags for one in found if not isinstance(one, Refused) for arn, tags in one.items()}
        regions = [region for region, one in zip(asked, found, strict=True) if not isinstance(one, Refused)]
        buckets = self._buckets(secret)
        if len(resources) + len(buckets) > most:
            return TagReading(regions, {}, {}, complete=False)
        return TagReading(regions, buckets, resources, complete=True)

    def _session(self, role_arn: str) -> Secret:
        assume = self._clients.get("sts", "minter").assume_role
        answer, error = tried(
            lambda: assume(
                RoleArn=role_arn,
                RoleSessionName=documents.TAG_READER,
                Policy=documents.tags_policy(),
                DurationSeconds=900,
            )
        )
        if error is not None:
            raise trouble(error)
        return secret_of(answer)

    def _regions(self, secret: Secret) -> list[str]:
        """Return the regions that are on in this account; only the home region where that is refused."""
        answer = self._asked(lambda: self._client(secret, "ec2", self._home).describe_regions())
        names = (str(one["RegionName"]) for one in answer["Regions"]) if answer else ()
        return sorted({self._home, *names})

    def _buckets(self, secret: Secret) -> dict[str, str]:
        """Return the account's own buckets and their regions; none where that is refused."""
        pages = self._client(secret, "s3", self._home).get_paginator("list_buckets")
        # A page size, as the answer names regions only where the call has some parameter.
        listed = self._asked(lambda: list(pages.paginate(PaginationConfig={"PageSize": 1_000})))
        rows = (one for page in listed or () for one in page.get("Buckets", ()))
        return {one["Name"]: one["BucketRegion"] for one in rows if one.get("BucketRegion")}

    def _read(self, secret: Secret, region: str, keys: Sequence[str], most: int) -> Found | Refused:
        """Return what is tagged in one region (somewhat more than `most` at the most), or that it refuses."""
        client = self._client(secret, "resourcegroupstaggingapi", region)
        filters: list[dict[str, object]] = [{"TagFilters": [{"Key": key}]} for key in keys]
        found: dict[str, dict[str, str]] = {}
        for wanted in filters if 0 < len(filters) <= FILTERS else [{}]:
            pages = client.get_paginator("get_resources").paginate(ResourcesPerPage=PAGE, **wanted)
            rows, error = tried(partial(_until, most, pages))
            if error is not None:
                problem = trouble(error)
                if isinstance(problem, Refused):
                    return problem
                raise problem
            found |= rows
        return found

    def _asked(self, call: Sdk) -> Sdk:
        """Return the answer, or None where AWS says no. Raises what may pass."""
        answer, error = tried(call)
        if error is not None and not isinstance(problem := trouble(error), Refused):
            raise problem
        return answer

    def _client(self, secret: Secret, service: str, region: str) -> Sdk:
        return self._clients.of_session(service, secret, region, attempts=3)


def _until(most: int, pages: Sdk) -> dict[str, dict[str, str]]:
    """Return resources and their tags, up to the page that is too much."""
    found: dict[str, dict[str, str]] = {}
    for page in pages:
        for one in page["ResourceTagMappingList"]:
            tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())}
            found[one["ResourceARN"].removesuffix(":*")] = tags  # some APIs spell a log group so
        if len(found) > most:
            break
    return found
