"""Tell which IAM action an event of CloudTrail is: its name is usually the action's, and these are the exceptions.

Written by hand from AWS's service authorization reference and the event names that the services log. What is not found
in the table of actions after all is no known action: it may raise a flag, and never ends a grant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SERVICES: Mapping[str, str] = {
    "monitoring": "cloudwatch",
    "email": "ses",
    "tagging": "tag",
    "streams.dynamodb": "dynamodb",
    "runtime.sagemaker": "sagemaker",
    "api.pricing": "pricing",
    "session.qldb": "qldb",
    "cloudcontrolapi": "cloudformation",
    "api.ecr": "ecr",
    "api.ecr-public": "ecr-public",
    "servicecatalog-appregistry": "servicecatalog",
    "models.lex": "lex",
    "runtime.lex": "lex",
    "entitlement.marketplace": "aws-marketplace",
    "metering.marketplace": "aws-marketplace",
}
"""Event source without `.amazonaws.com` → the service's word in IAM, where they differ."""
NAMES: Mapping[str, str] = {
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:HeadObject": "s3:GetObject",
    "s3:SelectObjectContent": "s3:GetObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:UploadPartCopy": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListParts": "s3:ListMultipartUploadParts",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:GetBucketLifecycle": "s3:GetLifecycleConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:PutBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:PutBucketReplication": "s3:PutReplicationConfiguration",
    "s3:DeleteBucketReplication": "s3:PutReplicationConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:DeleteBucketCors": "s3:PutBucketCORS",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:PutBucketAccelerateConfiguration": "s3:PutAccelerateConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "lambda:Invoke": "lambda:InvokeFunction",
    "kms:ReEncrypt": "kms:ReEncryptFrom",
    "dynamodb:TransactGetItems": "dynamodb:GetItem",
    "dynamodb:TransactWriteItems": "dynamodb:PutItem",
    "dynamodb:ExecuteStatement": "dynamodb:PartiQLSelect",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sns:PublishBatch": "sns:Publish",
}
"""Event → action, where another word is checked than was called."""
_DATED = re.compile(r"(?:\d{8}|\d{4}_\d{2}_\d{2})(?:v\d+)?$|(?<=[a-z])v\d+$")


def action_of(source: str, name: str) -> str:
    """Return the action that an event probably is: `s3.amazonaws.com` and `ListObjectsV2` give `s3:ListBucket`."""
    service = source.removesuffix(".amazonaws.com").removesuffix(".amazonaws.com.cn").lower()
    service = SERVICES.get(service, service)
    plain = f"{service}:{_DATED.sub('', name) if service in ('lambda', 'cloudfront') else name}"
    return NAMES.get(plain, plain)
