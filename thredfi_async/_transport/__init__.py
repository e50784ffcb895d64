"""The only package that uses aiohttp's client."""
