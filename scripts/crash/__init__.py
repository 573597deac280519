"""Kill Gantry again and again while it works, and count what that cost: see `scripts.crash_campaign`."""
