"""The settings of a run, typed; `sources` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.run_keys import PLAIN, Commands, random_run_id
from pytest_hydrasmoke._core.policy import EndRule, Policy, Statuses
from pytest_hydrasmoke._options import SECRETS, how_to_set
from pytest_hydrasmoke._transport.links import Link, Trace, trace_of

from .values import (
    Budgets,
    CaFile,
    Checks,
    Group,
    HiddenToken,
    InstanceId,
    NoLessThanZero,
    Pattern,
    RunId,
    Seconds,
    StatusWords,
    TokenFile,
    TraceUrl,
    Whole,
    Words,
)

_DEFAULTS = Policy()
SPEC = ("manifest_id", "region_id", "tier_id")
"""What must be set to provision."""


@public
class HydraSmokeConfig(BaseModel):
    """The resolved settings of a run; seconds where a number is a time."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    url: str | None = None
    """The router's address, without `/internal/...`; a path prefix is kept."""
    token: HiddenToken = Field(default=None, repr=False)
    """The bearer token: only from `HYDRA_SMOKE_TOKEN`, else `OPS_BEARER_TOKEN`, or a file."""
    token_file: TokenFile | None = None
    """A file that holds the token."""
    manifest_id: Annotated[str, Field(max_length=100)] | None = None
    """What the agent is made of."""
    region_id: Annotated[str, Field(max_length=80)] | None = None
    """Where it runs."""
    tier_id: Annotated[str, Field(max_length=80)] | None = None
    """Its product tier."""
    agent_name: str | None = None
    """The agent's name; else the router's choice."""
    run_id: RunId = Field(default_factory=random_run_id)
    """The run's name; its idempotency keys are `<run_id>-0`, `<run_id>-1`. 1 to 64 letters,
    digits, dots, underscores, hyphens; a letter or digit first, no dot last."""
    group: Group | None = None
    """The pipeline run of several runs, such as shards. Default: GitHub's, GitLab's or
    Jenkins's own, else the run id."""
    ready_timeout: Seconds = _DEFAULTS.ready_timeout
    """Time limit from provision to ready."""
    chat_timeout: Seconds = _DEFAULTS.chat_timeout
    """Time limit of a chat turn."""
    llm_events_timeout: Seconds = _DEFAULTS.llm_events_timeout
    """Time limit for a turn's LLM events to appear."""
    usage_settle: NoLessThanZero = _DEFAULTS.usage_settle
    """How long after a turn's end its LLM events may come: the next chat on its instance waits.
    With 0, a count that may include another turn's is an error."""
    delete_timeout: Seconds = _DEFAULTS.delete_timeout
    """Time limit for a deletion to be confirmed."""
    row_settle: NoLessThanZero = 3600.0
    """How long after its request a key may still get a row: until then, a sweep is unsure of
    it."""
    deadline: Seconds | None = None
    """Time limit of the whole run: set it below the pipeline's. The run ends as by TERM in time
    to delete: `delete_timeout` and 10 s earlier, or after half of it."""
    keep: Literal["never", "on-failure", "always"] = "never"
    """Leave instances running, and print the commands to attach and delete."""
    scope: Literal["session", "package", "module", "class", "function"] = "session"
    """How long an instance of `smoke_instance` lives."""
    instance: InstanceId | None = None
    """UUID of an instance to use instead of provisioning; it is never deleted."""
    max_instances: Whole = 4
    """The most instances of a run: it refuses to provision more. Tests that certainly need more
    end it before the first boot."""
    ready_statuses: StatusWords = _DEFAULTS.statuses.ready
    """Status words of a ready instance, in any letter case."""
    failed_statuses: StatusWords = _DEFAULTS.statuses.failed
    """Status words of a failed instance."""
    gone_statuses: StatusWords = _DEFAULTS.statuses.gone
    """Status words of a deleted instance."""
    chat_end: EndRule = "auto"
    """Whether a stream without a terminal event or finish reason fails: `required` always,
    `optional` never. With `auto` it fails if the runtime always sends one, an earlier turn had
    one, or the model waits for tools; else the summary warns."""
    bundled_checks: Checks = True
    """Run the bundled checks. `core`: only one boot, one chat, its LLM events and the
    deletion."""
    prompt: Annotated[str, Field(min_length=1, max_length=4000)] = (
        "Reply with one short sentence: are you ready?"
    )
    """What the bundled chat check asks."""
    expect_text: Pattern | None = None
    """A regular expression to find in the bundled chat's reply."""
    expect_providers: Words = frozenset()
    """Providers that the bundled chat's LLM events must have."""
    expect_models: Words = frozenset()
    """Patterns such as `claude-*`. The bundled chat's runtime must name its models, and each
    must match one."""
    new_conversation: Annotated[str, Field(min_length=1, max_length=4000)] | None = None
    """A message that begins a new conversation, such as `/new`: sent before a test's first chat
    with a shared instance that another test has used."""
    allow_http: bool = False
    """Allow plain http to other machines."""
    trust_env: bool = False
    """Use the environment's proxies and CA."""
    ca_file: CaFile | None = None
    """A private CA, trusted besides the public ones."""
    client_cert: Path | None = None
    """A client certificate (PEM), for a router that asks for one."""
    client_key: Path | None = None
    """Its key, without a password, if the certificate's file has none."""
    output: Path = Path(".hydrasmoke")
    """The folder of ledger and reports. If the run makes it, git ignores it."""
    report: Literal["never", "on-failure", "always"] = "on-failure"
    """When to write `report.html`; `report.json` is always written."""
    report_replies: bool = True
    """False keeps messages and replies out of reports and summaries. What pytest writes
    stays: explanations of assertions, parameters in test names."""
    trace_url: TraceUrl | None = None
    """A link to a trace, such as `https://traces.example/{trace_id}`, shown at failures and in
    reports. Each request names its trace: from `TRACEPARENT`, else the run's own."""
    budgets: Budgets = Field(default_factory=dict[str, float])
    """Limits, such as `ready=300,first_text=5,gap=20,tokens=20000`: seconds of a phase, to the
    first text, between events; tokens of the run. A breach fails the run."""
    record: Path | None = None
    """The folder where a live run records what agents say, one file a test, for replay
    offline."""
    scenario: str = "default"
    """How the fake behaves: a ready-made scenario's name, a TOML file, or a folder of
    recordings."""
    agent_url: str | None = None
    """A real agent on this machine that answers all chats, behind the fake: the base of an API like
    OpenAI's. Bundled checks then run only if they are named."""
    agent_model: str | None = None
    """The model to ask; else the only one that the agent lists."""
    agent_token: HiddenToken = Field(default=None, repr=False)
    """The agent's bearer token: only from `HYDRA_SMOKE_AGENT_TOKEN`."""

    _commands: Commands = PrivateAttr(default=PLAIN)

    @property
    def commands(self) -> Commands:
        """The commands that the run prints, which find its settings where the run found them."""
        return self._commands

    def with_commands(self, commands: Commands) -> Self:
        """Return the same settings with other commands."""
        twin = self.model_copy()
        twin._commands = commands
        return twin

    @property
    def policy(self) -> Policy:
        """The deadlines and status words, for the lifecycle."""
        return Policy(
            ready_timeout=self.ready_timeout,
            chat_timeout=self.chat_timeout,
            llm_events_timeout=self.llm_events_timeout,
            usage_settle=self.usage_settle,
            delete_timeout=self.delete_timeout,
            row_wait=self.delete_timeout,
            keep=self.keep,
            chat_end=self.chat_end,
            commands=self.commands,
            statuses=Statuses(self.ready_statuses, self.failed_statuses, self.gone_statuses),
        )

    @property
    def link(self) -> Link:
        """Where the router is and how to get there; raises `ConfigError` if that is not set."""
        if self.url is None or self.token is None:
            raise ConfigError("url and token are not set", next_step=how_to_set("url"))
        return Link(
            self.url.rstrip("/"),
            self.token,
            self.ca_file,
            self.trust_env,
            self.client_cert,
            self.client_key,
            run_id=self.run_id,
            trace=self.trace,
        )

    @property
    def trace(self) -> Trace:
        """The trace that the run's requests belong to."""
        return trace_of(self.run_id, self.trace_url)

    @property
    def spec(self) -> InstanceSpec:
        """What to provision; raises `ConfigError` if a part of it is not set.

        Where the run is attached to an instance, parts that are not set are empty.
        """
        parts = self.model_dump(include={*SPEC, "agent_name"})
        missing = [name for name in SPEC if parts[name] is None]
        if missing and self.instance is None:
            raise ConfigError(f"not set: {', '.join(missing)}", next_step=how_to_set(missing[0]))
        return InstanceSpec(**{**parts, **dict.fromkeys(missing, "")})

    def to_plain(self) -> dict[str, Any]:
        """Return plain types, with the token in clear: only for a worker of the same run."""
        plain = self.model_dump(mode="json", exclude={*SECRETS}, exclude_none=True)
        plain["commands"] = asdict(self.commands)
        return plain if self.token is None else {**plain, "token": self.token.reveal()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Restore the result of `to_plain`."""
        settings = {name: value for name, value in plain.items() if name != "commands"}
        return cls(**settings).with_commands(Commands(**plain["commands"]))
