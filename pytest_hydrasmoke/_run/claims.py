"""Keys for instances, in the ledger before anything is requested, and checks of the requests."""

from __future__ import annotations

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError, hide_own_frames
from pytest_hydrasmoke._base.token import has_token
from pytest_hydrasmoke._settings.model import HydraSmokeConfig

from .ledger import Intent, Ledger

__tracebackhide__ = hide_own_frames


class Claims:
    """Takes keys in the ledger of a run; every method raises `ConfigError`."""

    def __init__(self, config: HydraSmokeConfig, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger

    def take_slots(self, spec: InstanceSpec, number: int, share: str | None) -> list[str]:
        """Take the keys of the next free slots, which `max_instances` limits."""
        limit = self._config.max_instances
        keys = self._ledger.claim(self._intent(spec, share), number, limit)
        if keys is None:
            raise ConfigError(
                f"no room for {number} more: max_instances allows {limit} in a run",
                next_step="raise HYDRA_SMOKE_MAX_INSTANCES, share instances (scope), or leave out "
                "the bundled checks, which take one (bundled_checks = false)",
            )
        return keys

    def take_key(self, spec: InstanceSpec, key: str) -> None:
        """Take a key outside the slots."""
        self._ledger.claim_key(key, self._intent(spec))

    def check_detached(self) -> None:
        """Check that the run may provision: it is attached to no instance."""
        if self._config.instance is not None:
            raise ConfigError(
                "this run is attached to an instance, and provisions none",
                instance=self._config.instance,
                next_step="leave out HYDRA_SMOKE_INSTANCE to provision",
            )

    def check_spec(self, spec: InstanceSpec) -> None:
        """Check that a spec does not contain the token."""
        token = self._config.token
        if any(has_token(str(value), token) for value in spec.model_dump().values()):
            raise ConfigError(
                "the spec contains the token",
                next_step="remove it: the spec is written into the ledger and the reports",
            )

    def _intent(self, spec: InstanceSpec, share: str | None = None) -> Intent:
        self.check_spec(spec)
        return Intent(spec.model_dump(), self._config.link.base_url, share)
