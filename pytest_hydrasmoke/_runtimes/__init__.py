"""What an agent said, from its events, in the formats of each agent runtime; pure."""
