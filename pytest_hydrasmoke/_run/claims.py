"""Keys for instances, in the ledger before anything is requested, and checks of the requests."""

from __future__ import annotations

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError, hide_own_frames
from pytest_hydrasmoke._base.token import has_token
from pytest_hydrasmoke._journal.events import Claimed
from pytest_hydrasmoke._settings.model import HydraSmokeConfig

from .ledger import Ledger

__tracebackhide__ = hide_own_frames


class Claims:
    """Takes keys in the ledger of a run; every method raises `ConfigError`."""

    def __init__(self, config: HydraSmokeConfig, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger

    def of(self, spec: InstanceSpec, share: str | None = None) -> Claimed:
        """Return the claim of a key, whose spec must not contain the token.

        A run that is attached to an instance provisions none.
        """
        if self._config.instance is not None:
            raise ConfigError(
                "this run is attached to an instance, and provisions none",
                instance=self._config.instance,
                next_step="leave out HYDRA_SMOKE_INSTANCE to provision",
            )
        plain, token = spec.model_dump(), self._config.token
        if any(has_token(str(value), token) for value in plain.values()):
            raise ConfigError(
                "the spec contains the token",
                next_step="remove it: the spec is written into the ledger and the reports",
            )
        url, fake = self._config.link.base_url, self._ledger.fake
        return Claimed(plain, url=url, fake=fake, share=share)

    def take_slots(self, claimed: Claimed, number: int) -> list[str]:
        """Take the keys of the next free slots, which `max_instances` limits."""
        limit = self._config.max_instances
        keys = self._ledger.claim(claimed, number, limit)
        if keys is None:
            raise ConfigError(
                f"no room for {number} more: max_instances allows {limit} in a run",
                next_step="raise HYDRA_SMOKE_MAX_INSTANCES, share instances (scope), or leave out "
                "the bundled checks, which take one (bundled_checks = false)",
            )
        return keys
