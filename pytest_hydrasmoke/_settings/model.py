"""The settings of a run, typed; `sources` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
)

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.commands import PLAIN, Commands
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.run_keys import random_run_id
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._options import SECRETS, how_to_set
from pytest_hydrasmoke._transport.target import Link
from pytest_hydrasmoke._transport.trace import Trace, trace_of

from .values import (
    Api,
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
    """Where the router lives, without `/internal/...`; a path prefix is kept."""
    token: HiddenToken = Field(default=None, repr=False)
    """The bearer token: from `HYDRA_SMOKE_TOKEN`, else `OPS_BEARER_TOKEN`, or a file."""
    token_file: TokenFile | None = None
    """A file that holds the token."""
    manifest_id: Annotated[str, Field(max_length=100)] | None = None
    """What the agent is made of."""
    region_id: Annotated[str, Field(max_length=80)] | None = None
    """Where it runs."""
    tier_id: Annotated[str, Field(max_length=80)] | None = None
    """Which product tier it is of."""
    agent_name: str | None = None
    """The agent's name; the router's choice if not given."""
    run_id: RunId = Field(default_factory=random_run_id)
    """Names the run: 1 to 64 letters, digits, dots, underscores and hyphens, a letter or a digit
    first and no dot last. Its idempotency keys are `<run_id>-<slot>`, slots counted from 0."""
    group: Group | None = None
    """Names the pipeline run that several runs belong to, such as its shards and the cells of its
    matrix; GitHub's, GitLab's or Jenkins's own if not given, else the run id."""
    ready_timeout: Seconds = _DEFAULTS.ready_timeout
    """Deadline from provision to ready."""
    chat_timeout: Seconds = _DEFAULTS.chat_timeout
    """Deadline of a chat turn."""
    llm_events_timeout: Seconds = _DEFAULTS.llm_events_timeout
    """Deadline for a turn's LLM events to appear."""
    usage_settle: NoLessThanZero = _DEFAULTS.usage_settle
    """How long after a turn's end the next chat on its instance waits at most, until the turn's LLM
    events are complete; with 0 a count that may include another turn's is an error."""
    delete_timeout: Seconds = _DEFAULTS.delete_timeout
    """Deadline for a deletion to be confirmed."""
    row_settle: NoLessThanZero = 3600.0
    """How long after its request a key without a row may still get one: until then, a sweep does
    not count the key as absent."""
    deadline: Seconds | None = None
    """Seconds for the whole run, a little less than a pipeline gives it: the run ends as by a TERM
    while there is time to delete what there is, `delete_timeout` and 10 s, or half of the seconds.
    A runner that kills at its own limit leaves no such time."""
    keep: Literal["never", "on-failure", "always"] = "never"
    """Leave instances for a look, and print the commands that attach to them and delete them."""
    scope: Literal["session", "package", "module", "class", "function"] = "session"
    """How long an instance of `smoke_instance` lives."""
    instance: InstanceId | None = None
    """UUID of an instance to use instead of provisioning; it is never deleted."""
    max_instances: Annotated[int, Field(ge=1)] = 4
    """How many instances a run may have: a request for more is refused before it is sent, and a run
    whose tests certainly need more is refused before its first boot."""
    ready_statuses: StatusWords = _DEFAULTS.ready
    """Status words of a ready instance, in any letter case."""
    failed_statuses: StatusWords = _DEFAULTS.failed
    """Status words of one that failed."""
    gone_statuses: StatusWords = _DEFAULTS.gone
    """Status words of a deleted one."""
    chat_end: Literal["auto", "required", "optional"] = "auto"
    """Whether a stream that ends without a terminal event or a finish reason is a failure:
    `required` always, `optional` never, `auto` where its runtime always sends one, an earlier turn
    of the instance had one, or the model waits for its tools; else it is a warning in the summary.
    A stream that ends in the middle of an event always is one."""
    bundled_checks: Checks = True
    """Collect the bundled checks; `core`: only what proves one boot, one chat, its LLM events, and
    the deletion at the end, for a run after each deployment."""
    prompt: Annotated[str, Field(min_length=1, max_length=4000)] = (
        "Reply with one short sentence: are you ready?"
    )
    """What the bundled chat check asks."""
    expect_text: Pattern | None = None
    """A regular expression that the reply must match somewhere."""
    expect_providers: Words = frozenset()
    """Providers that must appear among a turn's LLM events."""
    expect_models: Words = frozenset()
    """Patterns, such as `claude-*`: the bundled chat's runtime must name its models, and each must
    match one of them."""
    new_conversation: Annotated[str, Field(min_length=1, max_length=4000)] | None = None
    """A message, such as `/new`, with which the agent begins a new conversation: sent to a shared
    instance before a test's first chat, if another test has chatted with it before."""
    allow_http: bool = False
    """Plain http to hosts other than this machine."""
    trust_env: bool = False
    """Use the environment's proxies and CA."""
    ca_file: CaFile | None = None
    """A private CA, trusted besides the public ones."""
    client_cert: Path | None = None
    """A client certificate, as PEM, for a router that asks for one."""
    client_key: Path | None = None
    """Its key, without a password, if the certificate's file does not have it."""
    output: Path = Path(".hydrasmoke")
    """Folder of ledger and reports, in the invocation folder; one that the run makes ignores itself
    in git."""
    report: Literal["never", "on-failure", "always"] = "on-failure"
    """When to write `report.html` and `trace.har`; `report.json` is always written."""
    report_replies: bool = True
    """False keeps every message and reply out of reports, HAR and summaries: out of all that this
    plugin writes. What pytest writes of a test's own words stays: explanations of assertions, in
    the terminal, JUnit and pytest-html, and parameters in the names of tests."""
    trace_url: TraceUrl | None = None
    """A link to a trace, such as `https://traces.example/{trace_id}`, shown where a call or a turn
    fails and in reports; the id is put in place of `{trace_id}`. Each request tells the router its
    trace: the pipeline's, in `TRACEPARENT`, else one of the run's own."""
    budgets: Budgets = Field(default_factory=dict[str, float])
    """Upper limits, such as `ready=300,first_text=5,gap=20,tokens=20000`: seconds of a phase, until
    a reply's first text (`first_text`) and between two events of a reply (`gap`), and tokens of the
    whole run, input and output together. A breach fails the run."""
    record: Path | None = None
    """A folder: what agents say in this live run is written there, one file a test, to be replayed
    offline; in the invocation folder. A run against the fake alone records nothing."""
    scenario: str = "default"
    """How the fake router behaves: the name of a ready-made scenario, a TOML file, or a folder of
    recordings."""
    agent_url: str | None = None
    """A real agent on this machine, before which the fake router stands: it answers all chats, with
    a conversation for each instance. The bundled checks then run only if they are named."""
    agent_api: Api = "openai"
    """How that agent is asked: `openai` for chat completions below `agent_url`, `ag-ui` for runs at
    it."""
    agent_model: str | None = None
    """The model to ask by OpenAI's API; if not given, the only one that the agent lists."""
    agent_token: HiddenToken = Field(default=None, repr=False)
    """The agent's bearer token."""

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
            ready=self.ready_statuses,
            failed=self.failed_statuses,
            gone=self.gone_statuses,
            chat_end=self.chat_end,
            commands=self.commands,
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
