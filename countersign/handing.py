"""Hand a credential that changes to a running COMMAND: environment variables stay as they were when it started.

COMMAND gets an AWS profile in a private temporary folder, whose `credential_process` asks this process over a socket
there. So the newest credential of a line of extensions is what SDKs find, sealed to this process until then, and no
secret is on disk. With this process its credential is gone, too.
"""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from countersign import handed

PROFILE = "countersign"
SETTINGS = (
    "region",
    "output",
    "ca_bundle",
    "cli_pager",
    "defaults_mode",
    "endpoint_url",
    "max_attempts",
    "request_checksum_calculation",
    "response_checksum_validation",
    "retry_mode",
    "s3",
    "sts_regional_endpoints",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
)
"""What is taken over from the default profile: settings alone, nothing that says who somebody is."""
IDENTITY = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
"""What SDKs would take before the profile: with one of these, COMMAND would act as somebody else."""


class Handing:
    """Serve `answer` to COMMAND's SDKs while an `async with` block lasts.

    `answer` returns what an SDK reads, or the words that say why there is nothing.
    """

    def __init__(self, answer: Callable[[], dict[str, Any] | str], environ: Mapping[str, str] = os.environ) -> None:
        """Take over the settings of the default profile that this environment names."""
        self._answer, self._environ = answer, environ
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Make the folder and listen. Raises OSError."""
        self._folder = Path(tempfile.mkdtemp(prefix="countersign-"))  # readable by this user alone
        try:
            socket = self._folder / "socket"
            self._server = await asyncio.start_unix_server(self._serve, socket)
            (self._folder / "credentials").touch()
            (self._folder / "config").write_text(config(_process(socket), _settings(self._environ)))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and remove the folder."""
        if self._server is not None:
            self._server.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def environ(self) -> dict[str, str]:
        """Return the variables that lead SDKs to the profile; those of `IDENTITY` have to go."""
        assert self._folder is not None
        return {
            "AWS_CONFIG_FILE": str(self._folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self._folder / "credentials"),
            "AWS_PROFILE": PROFILE,
            "AWS_EC2_METADATA_DISABLED": "true",  # some SDKs would go on to the machine's own role
        }

    async def _serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = self._answer()
        text = f"1\n{found}" if isinstance(found, str) else f"0\n{json.dumps(found)}"
        writer.write(text.encode())
        writer.close()


def config(process: str, settings: Mapping[str, str]) -> str:
    """Return the text of the AWS config file."""
    lines = [f"[profile {PROFILE}]", f"credential_process = {process}"]
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items()), ""])


def _process(socket: Path) -> str:
    """Return the command: without the site's packages and deaf to PYTHON* variables, since COMMAND may set those."""
    return shlex.join([sys.executable, "-I", "-S", handed.__file__, str(socket)])


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the default profile's settings (region and such); of a file that cannot be read: none."""
    path = Path(environ.get("AWS_CONFIG_FILE") or Path.home() / ".aws" / "config").expanduser()
    parser = configparser.RawConfigParser(strict=False, default_section="")
    try:
        parser.read_string(path.read_text())
    except (OSError, ValueError, RuntimeError, configparser.Error):
        return {}
    found = dict(parser["default"]) if parser.has_section("default") else {}
    return {name: found[name].replace("\n", "\n  ") for name in SETTINGS if found.get(name)}
