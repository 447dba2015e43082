"""Agents tested like software: a line in this process, and callers who phone it.

The fixtures for pytest are in `plugin`, which an entry point installs; scenarios are run by ``voice-app
rehearse``. The page `testing` tells how.
"""
