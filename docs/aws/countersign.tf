terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}

# Account countersign
provider "aws" {
  alias               = "countersign"
  profile             = "countersign"
  region              = "us-east-1"
  allowed_account_ids = ["999999999999"]
}

resource "aws_iam_policy" "countersign_countersign_minter" {
  provider = aws.countersign
  name     = "countersign-minter"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "sts:AssumeRole",
        "sts:TagSession",
        "sts:SetSourceIdentity"
      ],
      "Resource": [
        "arn:aws:iam::111111111111:role/countersign-base-payments-operator",
        "arn:aws:iam::111111111111:role/countersign-base-payments-reader",
        "arn:aws:iam::111111111111:role/countersign-base-payments-reader-2",
        "arn:aws:iam::222222222222:role/countersign-base-data-reader",
        "arn:aws:iam::333333333333:role/countersign-base-staging-admin",
        "arn:aws:iam::444444444444:role/countersign-base-dev-admin",
        "arn:aws:iam::555555555555:role/countersign-base-sandbox-admin"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "sts:AssumeRole"
      ],
      "Resource": [
        "arn:aws:iam::111111111111:role/countersign-tags"
      ]
    }
  ]
}
JSON
}

resource "aws_iam_policy" "countersign_countersign_worker_revoker" {
  provider = aws.countersign
  name     = "countersign-worker-revoker"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "sts:AssumeRole"
      ],
      "Resource": [
        "arn:aws:iam::111111111111:role/countersign-revoker",
        "arn:aws:iam::222222222222:role/countersign-revoker",
        "arn:aws:iam::333333333333:role/countersign-revoker",
        "arn:aws:iam::444444444444:role/countersign-revoker",
        "arn:aws:iam::555555555555:role/countersign-revoker"
      ]
    }
  ]
}
JSON
}

# Mints: assumes base roles, and can write nothing.
resource "aws_iam_role" "countersign_countersign_minter" {
  provider             = aws.countersign
  name                 = "countersign-minter"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-worker"
      },
      "Action": "sts:AssumeRole"
    }
  ]
}
JSON
}

resource "aws_iam_role_policy_attachment" "countersign_countersign_minter" {
  provider   = aws.countersign
  role       = aws_iam_role.countersign_countersign_minter.name
  policy_arn = aws_iam_policy.countersign_countersign_minter.arn
}

# Revokes: takes each account's revoking role, and can mint nothing.
resource "aws_iam_role" "countersign_countersign_worker_revoker" {
  provider             = aws.countersign
  name                 = "countersign-worker-revoker"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-worker"
      },
      "Action": "sts:AssumeRole"
    }
  ]
}
JSON
}

resource "aws_iam_role_policy_attachment" "countersign_countersign_worker_revoker" {
  provider   = aws.countersign
  role       = aws_iam_role.countersign_countersign_worker_revoker.name
  policy_arn = aws_iam_policy.countersign_countersign_worker_revoker.arn
}

# Account dev
provider "aws" {
  alias               = "dev"
  profile             = "dev"
  region              = "us-east-1"
  allowed_account_ids = ["444444444444"]
}

resource "aws_iam_policy" "dev_countersign_boundary" {
  provider = aws.dev
  name     = "countersign-boundary"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Ceiling",
      "Effect": "Allow",
      "Action": [
        "ec2:*",
        "logs:*",
        "s3:*",
        "ec2:DescribeRegions"
      ],
      "Resource": "*"
    },
    {
      "Sid": "NoEscape",
      "Effect": "Deny",
      "Action": [
        "sts:*",
        "iam:*",
        "organizations:*",
        "account:*",
        "sso:*",
        "sso-oauth:*",
        "signin:*",
        "rolesanywhere:*",
        "ecr:GetAuthorizationToken",
        "ecr-public:GetAuthorizationToken",
        "codeartifact:GetAuthorizationToken",
        "redshift:GetClusterCredentials*",
        "redshift:GetIdentityCenterAuthToken",
        "redshift-serverless:GetCredentials",
        "redshift-serverless:GetIdentityCenterAuthToken",
        "rds-db:connect",
        "dsql:DbConnect*",
        "elasticache:Connect",
        "memorydb:Connect",
        "kms:CreateGrant",
        "s3:GetDataAccess",
        "lakeformation:GetTemporary*",
        "cognito-identity:GetCredentialsForIdentity",
        "cognito-identity:GetOpenIdToken*",
        "connect:GetFederationToken",
        "datazone:Get*Credentials",
        "deadline:Assume*",
        "eks-auth:*",
        "elasticmapreduce:GetClusterSessionCredentials",
        "emr-containers:GetManagedEndpointSessionCredentials",
        "iq-permission:*",
        "workmail:AssumeImpersonationRole",
        "bedrock:CallWithBearerToken",
        "bedrock-mantle:CallWithBearerToken",
        "logs:CallWithBearerToken",
        "bedrock-agentcore:GetWorkloadAccessToken*",
        "sso-directory:*",
        "cloudshell:*",
        "lightsail:GetInstanceAccessDetails",
        "ssm:StartSession",
        "ssm:ResumeSession",
        "ssm:GetAccessToken",
        "ec2-instance-connect:*"
      ],
      "Resource": "*"
    },
    {
      "Sid": "MustBeTagged",
      "Effect": "Deny",
      "Action": "*",
      "Resource": "*",
      "Condition": {
        "Null": {
          "aws:PrincipalTag/grant-id": "true"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_policy" "dev_countersign_base_dev_admin" {
  provider = aws.dev
  name     = "countersign-base-dev-admin"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "ec2:*",
        "s3:*",
        "logs:*"
      ],
      "Resource": [
        "*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ec2:DescribeRegions"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

resource "aws_iam_policy" "dev_countersign_revoker" {
  provider = aws.dev
  name     = "countersign-revoker"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy"
      ],
      "Resource": [
        "arn:aws:iam::444444444444:role/countersign-base-*"
      ],
      "Condition": {
        "StringEquals": {
          "iam:PermissionsBoundary": "arn:aws:iam::444444444444:policy/countersign-boundary"
        }
      }
    },
    {
      "Effect": "Allow",
      "Action": [
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListRolePolicies"
      ],
      "Resource": [
        "arn:aws:iam::444444444444:role/countersign-base-*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "cloudtrail:LookupEvents"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

# Base role of 'dev-admin'.
resource "aws_iam_role" "dev_countersign_base_dev_admin" {
  provider             = aws.dev
  name                 = "countersign-base-dev-admin"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "grant-*",
          "aws:RequestTag/grant-id": "?*"
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:TagSession",
      "Condition": {
        "StringLike": {
          "aws:RequestTag/grant-id": "?*"
        },
        "ForAllValues:StringEquals": {
          "aws:TagKeys": [
            "grant-id"
          ]
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:SetSourceIdentity",
      "Condition": {
        "StringLike": {
          "sts:SourceIdentity": "grant-*"
        }
      }
    }
  ]
}
JSON
  permissions_boundary = aws_iam_policy.dev_countersign_boundary.arn
}

resource "aws_iam_role_policy_attachment" "dev_countersign_base_dev_admin" {
  provider   = aws.dev
  role       = aws_iam_role.dev_countersign_base_dev_admin.name
  policy_arn = aws_iam_policy.dev_countersign_base_dev_admin.arn
}

# Writes and collects Denies, reads what sessions did.
resource "aws_iam_role" "dev_countersign_revoker" {
  provider             = aws.dev
  name                 = "countersign-revoker"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-worker-revoker"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "countersign-revoker"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_role_policy_attachment" "dev_countersign_revoker" {
  provider   = aws.dev
  role       = aws_iam_role.dev_countersign_revoker.name
  policy_arn = aws_iam_policy.dev_countersign_revoker.arn
}

# Account prod-data
provider "aws" {
  alias               = "prod_data"
  profile             = "prod-data"
  region              = "us-east-1"
  allowed_account_ids = ["222222222222"]
}

resource "aws_iam_policy" "prod_data_countersign_boundary" {
  provider = aws.prod_data
  name     = "countersign-boundary"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Ceiling",
      "Effect": "Allow",
      "Action": [
        "athena:*",
        "s3:GetObject*",
        "s3:ListBucket",
        "ec2:DescribeRegions"
      ],
      "Resource": "*"
    },
    {
      "Sid": "NoEscape",
      "Effect": "Deny",
      "Action": [
        "sts:*",
        "iam:*",
        "organizations:*",
        "account:*",
        "sso:*",
        "sso-oauth:*",
        "signin:*",
        "rolesanywhere:*",
        "ecr:GetAuthorizationToken",
        "ecr-public:GetAuthorizationToken",
        "codeartifact:GetAuthorizationToken",
        "redshift:GetClusterCredentials*",
        "redshift:GetIdentityCenterAuthToken",
        "redshift-serverless:GetCredentials",
        "redshift-serverless:GetIdentityCenterAuthToken",
        "rds-db:connect",
        "dsql:DbConnect*",
        "elasticache:Connect",
        "memorydb:Connect",
        "kms:CreateGrant",
        "s3:GetDataAccess",
        "lakeformation:GetTemporary*",
        "cognito-identity:GetCredentialsForIdentity",
        "cognito-identity:GetOpenIdToken*",
        "connect:GetFederationToken",
        "datazone:Get*Credentials",
        "deadline:Assume*",
        "eks-auth:*",
        "elasticmapreduce:GetClusterSessionCredentials",
        "emr-containers:GetManagedEndpointSessionCredentials",
        "iq-permission:*",
        "workmail:AssumeImpersonationRole",
        "bedrock:CallWithBearerToken",
        "bedrock-mantle:CallWithBearerToken",
        "logs:CallWithBearerToken",
        "bedrock-agentcore:GetWorkloadAccessToken*",
        "sso-directory:*",
        "cloudshell:*",
        "lightsail:GetInstanceAccessDetails",
        "ssm:StartSession",
        "ssm:ResumeSession",
        "ssm:GetAccessToken",
        "ec2-instance-connect:*"
      ],
      "Resource": "*"
    },
    {
      "Sid": "MustBeTagged",
      "Effect": "Deny",
      "Action": "*",
      "Resource": "*",
      "Condition": {
        "Null": {
          "aws:PrincipalTag/grant-id": "true"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_policy" "prod_data_countersign_base_data_reader" {
  provider = aws.prod_data
  name     = "countersign-base-data-reader"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "s3:GetObject*",
        "s3:ListBucket",
        "athena:*"
      ],
      "Resource": [
        "*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ec2:DescribeRegions"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

resource "aws_iam_policy" "prod_data_countersign_revoker" {
  provider = aws.prod_data
  name     = "countersign-revoker"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy"
      ],
      "Resource": [
        "arn:aws:iam::222222222222:role/countersign-base-*"
      ],
      "Condition": {
        "StringEquals": {
          "iam:PermissionsBoundary": "arn:aws:iam::222222222222:policy/countersign-boundary"
        }
      }
    },
    {
      "Effect": "Allow",
      "Action": [
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListRolePolicies"
      ],
      "Resource": [
        "arn:aws:iam::222222222222:role/countersign-base-*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "cloudtrail:LookupEvents"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

# Base role of 'data-reader'.
resource "aws_iam_role" "prod_data_countersign_base_data_reader" {
  provider             = aws.prod_data
  name                 = "countersign-base-data-reader"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "grant-*",
          "aws:RequestTag/grant-id": "?*"
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:TagSession",
      "Condition": {
        "StringLike": {
          "aws:RequestTag/grant-id": "?*"
        },
        "ForAllValues:StringEquals": {
          "aws:TagKeys": [
            "grant-id"
          ]
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:SetSourceIdentity",
      "Condition": {
        "StringLike": {
          "sts:SourceIdentity": "grant-*"
        }
      }
    }
  ]
}
JSON
  permissions_boundary = aws_iam_policy.prod_data_countersign_boundary.arn
}

resource "aws_iam_role_policy_attachment" "prod_data_countersign_base_data_reader" {
  provider   = aws.prod_data
  role       = aws_iam_role.prod_data_countersign_base_data_reader.name
  policy_arn = aws_iam_policy.prod_data_countersign_base_data_reader.arn
}

# Writes and collects Denies, reads what sessions did.
resource "aws_iam_role" "prod_data_countersign_revoker" {
  provider             = aws.prod_data
  name                 = "countersign-revoker"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-worker-revoker"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "countersign-revoker"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_role_policy_attachment" "prod_data_countersign_revoker" {
  provider   = aws.prod_data
  role       = aws_iam_role.prod_data_countersign_revoker.name
  policy_arn = aws_iam_policy.prod_data_countersign_revoker.arn
}

# Account prod-payments
provider "aws" {
  alias               = "prod_payments"
  profile             = "prod-payments"
  region              = "us-east-1"
  allowed_account_ids = ["111111111111"]
}

resource "aws_iam_policy" "prod_payments_countersign_boundary" {
  provider = aws.prod_payments
  name     = "countersign-boundary"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Ceiling",
      "Effect": "Allow",
      "Action": [
        "rds:Describe*",
        "rds:RebootDBInstance",
        "s3:GetObject*",
        "s3:ListBucket",
        "ec2:DescribeRegions"
      ],
      "Resource": "*"
    },
    {
      "Sid": "NoEscape",
      "Effect": "Deny",
      "Action": [
        "sts:*",
        "iam:*",
        "organizations:*",
        "account:*",
        "sso:*",
        "sso-oauth:*",
        "signin:*",
        "rolesanywhere:*",
        "ecr:GetAuthorizationToken",
        "ecr-public:GetAuthorizationToken",
        "codeartifact:GetAuthorizationToken",
        "redshift:GetClusterCredentials*",
        "redshift:GetIdentityCenterAuthToken",
        "redshift-serverless:GetCredentials",
        "redshift-serverless:GetIdentityCenterAuthToken",
        "rds-db:connect",
        "dsql:DbConnect*",
        "elasticache:Connect",
        "memorydb:Connect",
        "kms:CreateGrant",
        "s3:GetDataAccess",
        "lakeformation:GetTemporary*",
        "cognito-identity:GetCredentialsForIdentity",
        "cognito-identity:GetOpenIdToken*",
        "connect:GetFederationToken",
        "datazone:Get*Credentials",
        "deadline:Assume*",
        "eks-auth:*",
        "elasticmapreduce:GetClusterSessionCredentials",
        "emr-containers:GetManagedEndpointSessionCredentials",
        "iq-permission:*",
        "workmail:AssumeImpersonationRole",
        "bedrock:CallWithBearerToken",
        "bedrock-mantle:CallWithBearerToken",
        "logs:CallWithBearerToken",
        "bedrock-agentcore:GetWorkloadAccessToken*",
        "sso-directory:*",
        "cloudshell:*",
        "lightsail:GetInstanceAccessDetails",
        "ssm:StartSession",
        "ssm:ResumeSession",
        "ssm:GetAccessToken",
        "ec2-instance-connect:*"
      ],
      "Resource": "*"
    },
    {
      "Sid": "MustBeTagged",
      "Effect": "Deny",
      "Action": "*",
      "Resource": "*",
      "Condition": {
        "Null": {
          "aws:PrincipalTag/grant-id": "true"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_policy" "prod_payments_countersign_base_payments_operator" {
  provider = aws.prod_payments
  name     = "countersign-base-payments-operator"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "rds:Describe*",
        "rds:RebootDBInstance"
      ],
      "Resource": [
        "*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ec2:DescribeRegions"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

resource "aws_iam_policy" "prod_payments_countersign_base_payments_reader" {
  provider = aws.prod_payments
  name     = "countersign-base-payments-reader"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "s3:GetObject*",
        "s3:ListBucket"
      ],
      "Resource": [
        "arn:aws:s3:::payments-exports",
        "arn:aws:s3:::payments-exports/*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ec2:DescribeRegions"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

resource "aws_iam_policy" "prod_payments_countersign_revoker" {
  provider = aws.prod_payments
  name     = "countersign-revoker"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy"
      ],
      "Resource": [
        "arn:aws:iam::111111111111:role/countersign-base-*"
      ],
      "Condition": {
        "StringEquals": {
          "iam:PermissionsBoundary": "arn:aws:iam::111111111111:policy/countersign-boundary"
        }
      }
    },
    {
      "Effect": "Allow",
      "Action": [
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListRolePolicies"
      ],
      "Resource": [
        "arn:aws:iam::111111111111:role/countersign-base-*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "cloudtrail:LookupEvents"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

resource "aws_iam_policy" "prod_payments_countersign_tags" {
  provider = aws.prod_payments
  name     = "countersign-tags"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "tag:GetResources",
        "ec2:DescribeRegions",
        "s3:ListAllMyBuckets"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

# Base role of 'payments-operator'.
resource "aws_iam_role" "prod_payments_countersign_base_payments_operator" {
  provider             = aws.prod_payments
  name                 = "countersign-base-payments-operator"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "grant-*",
          "aws:RequestTag/grant-id": "?*"
        },
        "StringEquals": {
          "sts:ExternalId": "countersign-prod"
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:TagSession",
      "Condition": {
        "StringLike": {
          "aws:RequestTag/grant-id": "?*"
        },
        "ForAllValues:StringEquals": {
          "aws:TagKeys": [
            "grant-id"
          ]
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:SetSourceIdentity",
      "Condition": {
        "StringLike": {
          "sts:SourceIdentity": "grant-*"
        }
      }
    }
  ]
}
JSON
  permissions_boundary = aws_iam_policy.prod_payments_countersign_boundary.arn
}

resource "aws_iam_role_policy_attachment" "prod_payments_countersign_base_payments_operator" {
  provider   = aws.prod_payments
  role       = aws_iam_role.prod_payments_countersign_base_payments_operator.name
  policy_arn = aws_iam_policy.prod_payments_countersign_base_payments_operator.arn
}

# Base role of 'payments-reader'.
resource "aws_iam_role" "prod_payments_countersign_base_payments_reader" {
  provider             = aws.prod_payments
  name                 = "countersign-base-payments-reader"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "grant-*",
          "aws:RequestTag/grant-id": "?*"
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:TagSession",
      "Condition": {
        "StringLike": {
          "aws:RequestTag/grant-id": "?*"
        },
        "ForAllValues:StringEquals": {
          "aws:TagKeys": [
            "grant-id"
          ]
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:SetSourceIdentity",
      "Condition": {
        "StringLike": {
          "sts:SourceIdentity": "grant-*"
        }
      }
    }
  ]
}
JSON
  permissions_boundary = aws_iam_policy.prod_payments_countersign_boundary.arn
}

resource "aws_iam_role_policy_attachment" "prod_payments_countersign_base_payments_reader" {
  provider   = aws.prod_payments
  role       = aws_iam_role.prod_payments_countersign_base_payments_reader.name
  policy_arn = aws_iam_policy.prod_payments_countersign_base_payments_reader.arn
}

# Base role of 'payments-reader'.
resource "aws_iam_role" "prod_payments_countersign_base_payments_reader_2" {
  provider             = aws.prod_payments
  name                 = "countersign-base-payments-reader-2"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "grant-*",
          "aws:RequestTag/grant-id": "?*"
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:TagSession",
      "Condition": {
        "StringLike": {
          "aws:RequestTag/grant-id": "?*"
        },
        "ForAllValues:StringEquals": {
          "aws:TagKeys": [
            "grant-id"
          ]
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:SetSourceIdentity",
      "Condition": {
        "StringLike": {
          "sts:SourceIdentity": "grant-*"
        }
      }
    }
  ]
}
JSON
  permissions_boundary = aws_iam_policy.prod_payments_countersign_boundary.arn
}

resource "aws_iam_role_policy_attachment" "prod_payments_countersign_base_payments_reader_2" {
  provider   = aws.prod_payments
  role       = aws_iam_role.prod_payments_countersign_base_payments_reader_2.name
  policy_arn = aws_iam_policy.prod_payments_countersign_base_payments_reader.arn
}

# Writes and collects Denies, reads what sessions did.
resource "aws_iam_role" "prod_payments_countersign_revoker" {
  provider             = aws.prod_payments
  name                 = "countersign-revoker"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-worker-revoker"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "countersign-revoker"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_role_policy_attachment" "prod_payments_countersign_revoker" {
  provider   = aws.prod_payments
  role       = aws_iam_role.prod_payments_countersign_revoker.name
  policy_arn = aws_iam_policy.prod_payments_countersign_revoker.arn
}

# Reads tags.
resource "aws_iam_role" "prod_payments_countersign_tags" {
  provider             = aws.prod_payments
  name                 = "countersign-tags"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "countersign-tags"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_role_policy_attachment" "prod_payments_countersign_tags" {
  provider   = aws.prod_payments
  role       = aws_iam_role.prod_payments_countersign_tags.name
  policy_arn = aws_iam_policy.prod_payments_countersign_tags.arn
}

# Account sandbox
provider "aws" {
  alias               = "sandbox"
  profile             = "sandbox"
  region              = "us-east-1"
  allowed_account_ids = ["555555555555"]
}

resource "aws_iam_policy" "sandbox_countersign_boundary" {
  provider = aws.sandbox
  name     = "countersign-boundary"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Ceiling",
      "Effect": "Allow",
      "Action": [
        "ec2:*",
        "logs:*",
        "s3:*",
        "ec2:DescribeRegions"
      ],
      "Resource": "*"
    },
    {
      "Sid": "NoEscape",
      "Effect": "Deny",
      "Action": [
        "sts:*",
        "iam:*",
        "organizations:*",
        "account:*",
        "sso:*",
        "sso-oauth:*",
        "signin:*",
        "rolesanywhere:*",
        "ecr:GetAuthorizationToken",
        "ecr-public:GetAuthorizationToken",
        "codeartifact:GetAuthorizationToken",
        "redshift:GetClusterCredentials*",
        "redshift:GetIdentityCenterAuthToken",
        "redshift-serverless:GetCredentials",
        "redshift-serverless:GetIdentityCenterAuthToken",
        "rds-db:connect",
        "dsql:DbConnect*",
        "elasticache:Connect",
        "memorydb:Connect",
        "kms:CreateGrant",
        "s3:GetDataAccess",
        "lakeformation:GetTemporary*",
        "cognito-identity:GetCredentialsForIdentity",
        "cognito-identity:GetOpenIdToken*",
        "connect:GetFederationToken",
        "datazone:Get*Credentials",
        "deadline:Assume*",
        "eks-auth:*",
        "elasticmapreduce:GetClusterSessionCredentials",
        "emr-containers:GetManagedEndpointSessionCredentials",
        "iq-permission:*",
        "workmail:AssumeImpersonationRole",
        "bedrock:CallWithBearerToken",
        "bedrock-mantle:CallWithBearerToken",
        "logs:CallWithBearerToken",
        "bedrock-agentcore:GetWorkloadAccessToken*",
        "sso-directory:*",
        "cloudshell:*",
        "lightsail:GetInstanceAccessDetails",
        "ssm:StartSession",
        "ssm:ResumeSession",
        "ssm:GetAccessToken",
        "ec2-instance-connect:*"
      ],
      "Resource": "*"
    },
    {
      "Sid": "MustBeTagged",
      "Effect": "Deny",
      "Action": "*",
      "Resource": "*",
      "Condition": {
        "Null": {
          "aws:PrincipalTag/grant-id": "true"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_policy" "sandbox_countersign_base_sandbox_admin" {
  provider = aws.sandbox
  name     = "countersign-base-sandbox-admin"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "ec2:*",
        "s3:*",
        "logs:*"
      ],
      "Resource": [
        "*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ec2:DescribeRegions"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

resource "aws_iam_policy" "sandbox_countersign_revoker" {
  provider = aws.sandbox
  name     = "countersign-revoker"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy"
      ],
      "Resource": [
        "arn:aws:iam::555555555555:role/countersign-base-*"
      ],
      "Condition": {
        "StringEquals": {
          "iam:PermissionsBoundary": "arn:aws:iam::555555555555:policy/countersign-boundary"
        }
      }
    },
    {
      "Effect": "Allow",
      "Action": [
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListRolePolicies"
      ],
      "Resource": [
        "arn:aws:iam::555555555555:role/countersign-base-*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "cloudtrail:LookupEvents"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

# Base role of 'sandbox-admin'.
resource "aws_iam_role" "sandbox_countersign_base_sandbox_admin" {
  provider             = aws.sandbox
  name                 = "countersign-base-sandbox-admin"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "grant-*",
          "aws:RequestTag/grant-id": "?*"
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:TagSession",
      "Condition": {
        "StringLike": {
          "aws:RequestTag/grant-id": "?*"
        },
        "ForAllValues:StringEquals": {
          "aws:TagKeys": [
            "grant-id"
          ]
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:SetSourceIdentity",
      "Condition": {
        "StringLike": {
          "sts:SourceIdentity": "grant-*"
        }
      }
    }
  ]
}
JSON
  permissions_boundary = aws_iam_policy.sandbox_countersign_boundary.arn
}

resource "aws_iam_role_policy_attachment" "sandbox_countersign_base_sandbox_admin" {
  provider   = aws.sandbox
  role       = aws_iam_role.sandbox_countersign_base_sandbox_admin.name
  policy_arn = aws_iam_policy.sandbox_countersign_base_sandbox_admin.arn
}

# Writes and collects Denies, reads what sessions did.
resource "aws_iam_role" "sandbox_countersign_revoker" {
  provider             = aws.sandbox
  name                 = "countersign-revoker"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-worker-revoker"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "countersign-revoker"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_role_policy_attachment" "sandbox_countersign_revoker" {
  provider   = aws.sandbox
  role       = aws_iam_role.sandbox_countersign_revoker.name
  policy_arn = aws_iam_policy.sandbox_countersign_revoker.arn
}

# Account staging
provider "aws" {
  alias               = "staging"
  profile             = "staging"
  region              = "us-east-1"
  allowed_account_ids = ["333333333333"]
}

resource "aws_iam_policy" "staging_countersign_boundary" {
  provider = aws.staging
  name     = "countersign-boundary"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Ceiling",
      "Effect": "Allow",
      "Action": [
        "ec2:*",
        "logs:*",
        "rds:*",
        "s3:*",
        "ec2:DescribeRegions"
      ],
      "Resource": "*"
    },
    {
      "Sid": "NoEscape",
      "Effect": "Deny",
      "Action": [
        "sts:*",
        "iam:*",
        "organizations:*",
        "account:*",
        "sso:*",
        "sso-oauth:*",
        "signin:*",
        "rolesanywhere:*",
        "ecr:GetAuthorizationToken",
        "ecr-public:GetAuthorizationToken",
        "codeartifact:GetAuthorizationToken",
        "redshift:GetClusterCredentials*",
        "redshift:GetIdentityCenterAuthToken",
        "redshift-serverless:GetCredentials",
        "redshift-serverless:GetIdentityCenterAuthToken",
        "rds-db:connect",
        "dsql:DbConnect*",
        "elasticache:Connect",
        "memorydb:Connect",
        "kms:CreateGrant",
        "s3:GetDataAccess",
        "lakeformation:GetTemporary*",
        "cognito-identity:GetCredentialsForIdentity",
        "cognito-identity:GetOpenIdToken*",
        "connect:GetFederationToken",
        "datazone:Get*Credentials",
        "deadline:Assume*",
        "eks-auth:*",
        "elasticmapreduce:GetClusterSessionCredentials",
        "emr-containers:GetManagedEndpointSessionCredentials",
        "iq-permission:*",
        "workmail:AssumeImpersonationRole",
        "bedrock:CallWithBearerToken",
        "bedrock-mantle:CallWithBearerToken",
        "logs:CallWithBearerToken",
        "bedrock-agentcore:GetWorkloadAccessToken*",
        "sso-directory:*",
        "cloudshell:*",
        "lightsail:GetInstanceAccessDetails",
        "ssm:StartSession",
        "ssm:ResumeSession",
        "ssm:GetAccessToken",
        "ec2-instance-connect:*"
      ],
      "Resource": "*"
    },
    {
      "Sid": "MustBeTagged",
      "Effect": "Deny",
      "Action": "*",
      "Resource": "*",
      "Condition": {
        "Null": {
          "aws:PrincipalTag/grant-id": "true"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_policy" "staging_countersign_base_staging_admin" {
  provider = aws.staging
  name     = "countersign-base-staging-admin"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "ec2:*",
        "rds:*",
        "s3:*",
        "logs:*"
      ],
      "Resource": [
        "*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "ec2:DescribeRegions"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

resource "aws_iam_policy" "staging_countersign_revoker" {
  provider = aws.staging
  name     = "countersign-revoker"
  policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy"
      ],
      "Resource": [
        "arn:aws:iam::333333333333:role/countersign-base-*"
      ],
      "Condition": {
        "StringEquals": {
          "iam:PermissionsBoundary": "arn:aws:iam::333333333333:policy/countersign-boundary"
        }
      }
    },
    {
      "Effect": "Allow",
      "Action": [
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListRolePolicies"
      ],
      "Resource": [
        "arn:aws:iam::333333333333:role/countersign-base-*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": [
        "cloudtrail:LookupEvents"
      ],
      "Resource": [
        "*"
      ]
    }
  ]
}
JSON
}

# Base role of 'staging-admin'.
resource "aws_iam_role" "staging_countersign_base_staging_admin" {
  provider             = aws.staging
  name                 = "countersign-base-staging-admin"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "grant-*",
          "aws:RequestTag/grant-id": "?*"
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:TagSession",
      "Condition": {
        "StringLike": {
          "aws:RequestTag/grant-id": "?*"
        },
        "ForAllValues:StringEquals": {
          "aws:TagKeys": [
            "grant-id"
          ]
        }
      }
    },
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-minter"
      },
      "Action": "sts:SetSourceIdentity",
      "Condition": {
        "StringLike": {
          "sts:SourceIdentity": "grant-*"
        }
      }
    }
  ]
}
JSON
  permissions_boundary = aws_iam_policy.staging_countersign_boundary.arn
}

resource "aws_iam_role_policy_attachment" "staging_countersign_base_staging_admin" {
  provider   = aws.staging
  role       = aws_iam_role.staging_countersign_base_staging_admin.name
  policy_arn = aws_iam_policy.staging_countersign_base_staging_admin.arn
}

# Writes and collects Denies, reads what sessions did.
resource "aws_iam_role" "staging_countersign_revoker" {
  provider             = aws.staging
  name                 = "countersign-revoker"
  max_session_duration = 3600
  assume_role_policy   = <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::999999999999:role/countersign-worker-revoker"
      },
      "Action": "sts:AssumeRole",
      "Condition": {
        "StringLike": {
          "sts:RoleSessionName": "countersign-revoker"
        }
      }
    }
  ]
}
JSON
}

resource "aws_iam_role_policy_attachment" "staging_countersign_revoker" {
  provider   = aws.staging
  role       = aws_iam_role.staging_countersign_revoker.name
  policy_arn = aws_iam_policy.staging_countersign_revoker.arn
}
