"""What was provisioned is gone once it is deleted."""

from __future__ import annotations

from pytest_hydrasmoke import (
    HydraSmokeConfig,
    NotFoundError,
    SmokeClient,
    SmokeInstanceFactory,
)


def test_deletion_is_confirmed_and_a_second_one_does_no_harm(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
) -> None:
    with smoke_instance_factory() as instance:
        instance.delete()
        assert _is_gone(smoke_client, instance.id, smoke_config)
        smoke_client.delete(instance.id)
        assert _is_gone(smoke_client, instance.id, smoke_config)


def _is_gone(client: SmokeClient, instance_id: str, config: HydraSmokeConfig) -> bool:
    try:
        return client.status(instance_id).status.lower() in config.gone_statuses
    except NotFoundError:
        return True
