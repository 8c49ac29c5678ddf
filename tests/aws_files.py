"""Write what `countersign aws` prints for the five accounts of docs/aws.md beside it: `python -m tests.aws_files`."""

from __future__ import annotations

import json

from approvers.roster import parse_roster
from countersign.ops.awscloudformation import template
from countersign.ops.awssetup import account_setup, every_account, identities
from countersign.ops.awsterraform import terraform
from tests.countersign.ops.five import FIVE, FOLDER, IDENTITIES, SHOWN, WORKER

if __name__ == "__main__":
    roster = parse_roster(FIVE)
    setups = [
        identities(IDENTITIES, WORKER, roster),
        *(account_setup(name, roster, IDENTITIES) for name in every_account(roster)),
    ]
    shown = [one for one in setups if one.name in SHOWN]
    (FOLDER / "countersign.tf").write_text(terraform(setups))
    for setup in shown:
        (FOLDER / f"cloudformation-{setup.name}.json").write_text(json.dumps(template(setup), indent=2) + "\n")
