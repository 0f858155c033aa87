"""Search: a JSON tree (`language`) over what records offer (`sources`), written as SQL (`compiler`), asked in `run`."""
