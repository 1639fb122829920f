"""The only simulated internet, for tests, demo and users: DNS, receiving servers with tempers, a seeded whole."""
