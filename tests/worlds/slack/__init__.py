"""A strict Slack workspace for tests: see `world`."""

from tests.worlds.slack.delivery import Delivery
from tests.worlds.slack.errors import Refused
from tests.worlds.slack.reading import Button
from tests.worlds.slack.state import CannotDo, Clock, Message, View
from tests.worlds.slack.sync import Slack, running_slack
from tests.worlds.slack.world import SlackWorld

__all__ = [
    "Button", "CannotDo", "Clock", "Delivery", "Message", "Refused", "Slack", "SlackWorld", "View", "running_slack",
]  # fmt: skip
