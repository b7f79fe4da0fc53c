"""Names and help of the pytest options: standard library only, since every run loads this.

PYTEST_DONT_REWRITE: this module has no assertions to rewrite.
"""

from __future__ import annotations

import sys

LIVE = "--hydra-smoke"
FAKE = "--hydra-smoke-fake"
TABLE = "tool.hydra-smoke"
ON_WINDOWS = sys.platform == "win32"
WSL = "smoke tests run on Linux and macOS: on Windows, run them in WSL"
"""Why nothing begins on Windows: there a run could not clean up after a signal."""

SETTINGS = {
    "url": "where the router lives, such as https://router.example",
    "token_file": "file that holds the bearer token (else HYDRA_SMOKE_TOKEN, OPS_BEARER_TOKEN)",
    "manifest_id": "manifest to provision, such as hermes-basic",
    "region_id": "region to provision in, such as eu-central",
    "tier_id": "product tier to provision",
    "agent_name": "name of the agent",
    "run_id": "name of this run; idempotency keys are <run id>-<slot> (default: random)",
    "ready_timeout": "seconds from provision to ready (default: 900)",
    "deadline": "seconds for the whole run: it ends in time to delete what there is",
    "keep": "keep instances to look at: never, on-failure or always (default: never)",
    "report": "write report.html: never, on-failure or always (default: on-failure)",
    "output": "folder of ledger and reports (default: .hydrasmoke in the invocation folder)",
    "instance": "UUID of an instance to use instead of provisioning; it is never deleted",
    "record": "write what agents say to this folder, to replay it offline (not of the fake alone)",
    "scenario": "how the fake behaves: a name, a TOML file, or a folder of recordings",
    "agent_url": "a real agent on this machine, before which the fake stands",
}
"""Settings that have an option too, with their help."""
METAVARS = {
    **dict.fromkeys(("keep", "report"), "{never,on-failure,always}"),
    **dict.fromkeys(("ready_timeout", "deadline"), "SECONDS"),
    **dict.fromkeys(("output", "record"), "FOLDER"),
    **dict.fromkeys(("url", "agent_url"), "URL"),
    "token_file": "FILE",
    "instance": "UUID",
    "run_id": "NAME",
    "scenario": "NAME|FILE|FOLDER",
}
"""What stands for an option's value in its help, where that is not VALUE."""
WITHOUT_OPTION = (
    *("chat_timeout", "llm_events_timeout", "usage_settle", "delete_timeout", "row_settle"),
    *("scope", "max_instances", "ready_statuses", "failed_statuses", "gone_statuses"),
    *("chat_end", "bundled_checks", "prompt", "expect_text", "expect_providers", "expect_models"),
    "new_conversation",
    *("allow_http", "trust_env", "ca_file", "client_cert", "client_key", "group"),
    *("report_replies", "budgets", "trace_url", "agent_model"),
)
"""The other settings: an option of such a name is refused, in words."""

SECRETS = ("token", "agent_token")
"""Settings that are neither in a table nor on a command line, where others can read them."""


def flag(setting: str) -> str:
    """Return a setting's option."""
    return f"{LIVE}-{setting.replace('_', '-')}"


def variable(setting: str) -> str:
    """Return a setting's environment variable."""
    return f"HYDRA_SMOKE_{setting.upper()}"


def how_to_set(setting: str) -> str:
    """Return where a setting that has an option can be given."""
    return (
        f'set {variable(setting)}, or {setting} = "..." in [{TABLE}]; '
        f"pytest takes {flag(setting)} too"
    )
