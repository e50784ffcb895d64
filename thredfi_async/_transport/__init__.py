"""The only door to aiohttp's client."""
