"""Complete the local AWS's log of calls: it leaves out what it refused, and what a form calls. Runs in its process.

The form is CloudTrail's. What stays different from AWS: calls are there at once; object reads and writes are in it;
sessions are labelled as users by their key; every address is 127.0.0.1.
"""

from __future__ import annotations

import importlib
import json
from typing import Any


def complete() -> None:
    """Have refused calls written down as well, with the code and the words of AWS, and calls by form by their name."""
    _name_forms(importlib.import_module("ministack.services.cloudtrail"))
    actions: Any = importlib.import_module("ministack.core.iam_actions")
    plain = actions.access_denied_response

    def answer(service: str, action: str, principal_arn: str, request_id: str, **more: Any) -> Any:
        if not more.get("error_code"):  # a key that is not known, or no more: AWS's log has no such calls either
            _record(service, action, principal_arn, request_id, more)
        return plain(service, action, principal_arn, request_id, **more)

    actions.access_denied_response = answer


def _name_forms(trail: Any) -> None:
    plain = trail.record_event

    def record(**told: Any) -> None:
        asked = told["request_params"]
        if isinstance(asked, dict) and asked.get("Action"):  # STS, IAM, EC2: it has called them all `POST.sts`
            told["event_name"] = asked["Action"]
            told["request_params"] = {f"{name[:1].lower()}{name[1:]}": value for name, value in asked.items()}
        plain(**told)

    trail.record_event = record


def _record(service: str, action: str, principal_arn: str, request_id: str, more: dict[str, Any]) -> None:
    trail = importlib.import_module("ministack.services.cloudtrail")
    app = importlib.import_module("ministack.app")
    headers, resource = more.get("headers") or {}, str(more.get("resource_arn") or "*")
    key, name = app.extract_access_key_id(headers, {}) or "", action.partition(":")[2]
    method = "GET" if name.startswith(("Get", "List", "Describe", "Head")) else "POST"
    region = importlib.import_module("ministack.core.responses").get_region()
    names = {"service": service, "event_name": name, "username": key, "access_key_id": key, "region": region}
    more_of_it = {"request_id": request_id, "user_agent": "", "request_params": {}, "resources": [], "method": method}
    trail.record_event(**names, **more_of_it)
    entry = trail._get_event_queue()[-1]
    event = json.loads(entry["CloudTrailEvent"])
    words = f"User: {principal_arn} is not authorized to perform: {action} on resource: {resource}"
    event |= {"errorCode": "AccessDenied", "errorMessage": f"{words} because no policy allows it"}
    entry["CloudTrailEvent"] = json.dumps(event)
