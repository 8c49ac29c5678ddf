"""Run the machine by itself: `python -m tests.oracle EXAMPLES [RULE…]`. The last line says in JSON what was found.

With rules named, only these are used. Exit code 1: the product and the oracle differ; 0: they agree.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Collection

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.oracle.comparing import Stage
from tests.oracle.machine import Machine

STEPS = 40
"""How many steps an example has, at most."""


def options(examples: int) -> settings:
    """Return settings under which every run takes the same steps, and stops at the first difference."""
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def only(rules: Collection[str]) -> type[Machine]:
    """Return the machine with these rules alone; without any named, the whole one."""
    names = {name for name, value in vars(Machine).items() if hasattr(value, "hypothesis_stateful_rule")}
    assert names >= set(rules), f"there is no rule {set(rules) - names}; there are {sorted(names)}"
    return type("Machine", (Machine,), dict.fromkeys(names - set(rules) if rules else ()))


class Found(BaseException):
    """A difference: it ends the run there and then, and is not looked for a second time."""


def run(examples: int, rules: Collection[str] = (), difference: type[BaseException] = AssertionError) -> Stage:
    """Run the machine; returns what it met. Raises `difference` where the two differ."""
    Machine.stage = stage = Stage()
    stage.difference = difference
    try:
        run_state_machine_as_test(only(rules), settings=options(examples))
    finally:
        stage.close()
    return stage


def main(words: list[str]) -> int:
    logging.disable()
    told = {"found": ""}
    try:
        run(int(words[0]), words[1:], Found)
    except (
        Found,
        Exception,
    ) as error:  # whatever it is, it is a difference: the product broke where the oracle had an answer
        told["found"] = (str(error) if isinstance(error, Found) else repr(error))[:400]
    print("\n" + json.dumps({**told, "steps": Machine.stage.steps}))
    return 1 if told["found"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
