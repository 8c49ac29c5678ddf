"""Hear what changes in the workspace: people, user groups, channels, and the app itself being taken out."""

from __future__ import annotations

from collections.abc import Sequence

from bot.surfaces.port import Refused, SurfaceError
from bot.surfaces.slack_channels import Channels
from bot.surfaces.slack_incoming import Answer, Incoming
from bot.surfaces.slack_parts import Listener, SlackParts
from workers.alerts import Alert

GONE = {
    "app_uninstalled": "Countersign was removed from the Slack workspace: nobody sees a card there any more. "
    "Install the app again and set its new bot token.",
    "tokens_revoked": "Slack has revoked a token of Countersign's app: cards may not arrive any more. "
    "Install the app again and set its new bot token.",
}
_OLD = "This is from an older version of Countersign, and did nothing. Open the request anew: /countersign list"


def listeners(channels: Channels) -> Sequence[Listener]:
    """Return the rows for these events."""

    async def shared(parts: SlackParts, call: Incoming) -> None:
        """Look at a channel that was just shared, and say so if cards were posted there until now."""
        channel = str(call.body["event"].get("channel", ""))
        channels.forget(channel)
        roster = parts.deps.policies.current.roster
        if any(place.slack == channel for place in roster.places.values()):
            try:
                await channels.check(channel, roster)
            except Refused as error:
                await _alert(parts, f"slack.shared:{channel}", f"No more cards are posted: {error}.")
            except SurfaceError:
                return  # the next post looks again

    return (
        ("event", "user_change", _person_changed),
        ("event", "subteam_updated", _group_changed),
        ("event", "subteam_members_changed", _group_changed),
        ("event", "channel_shared", shared),
        ("event", "app_uninstalled", _gone),
        ("event", "tokens_revoked", _gone),
    )


async def nothing(_parts: SlackParts, _call: Incoming) -> None:
    """Do nothing: a link was opened, or an event is none of ours."""


async def outlived(parts: SlackParts, call: Incoming) -> None:
    """Tell somebody that what they used is not there any more."""
    await parts.whisper(call, _OLD)


async def unknown_command(_parts: SlackParts, _call: Incoming) -> Answer:
    """Tell somebody that only one command is ours."""
    return Answer({"response_type": "ephemeral", "text": "Countersign answers to `/countersign help`."})


async def _person_changed(parts: SlackParts, call: Incoming) -> None:
    parts.people.forget(call.user)


async def _group_changed(parts: SlackParts, _call: Incoming) -> None:
    parts.people.forget_groups()


async def _gone(parts: SlackParts, call: Incoming) -> None:
    kind = str(call.body["event"]["type"])
    await _alert(parts, f"slack.{kind}", GONE[kind])


async def _alert(parts: SlackParts, key: str, summary: str) -> None:
    await parts.deps.alerts.send(Alert(key, "critical", summary, await parts.deps.store.records.now()))
