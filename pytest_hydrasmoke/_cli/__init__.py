"""The command `hydra-smoke`: check, sweep, fake, history."""
