"""Read one page of the public web for an agent, and nothing else that an address may lead to."""
