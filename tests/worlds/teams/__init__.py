"""A strict Microsoft Teams tenant for tests: see `world`."""

from tests.worlds.teams.delivery import Delivery
from tests.worlds.teams.reading import Button
from tests.worlds.teams.state import CannotDo, Clock, Message, Private
from tests.worlds.teams.sync import Teams, running_teams
from tests.worlds.teams.world import TeamsWorld

__all__ = ["Button", "CannotDo", "Clock", "Delivery", "Message", "Private", "Teams", "TeamsWorld", "running_teams"]
