"""Profiles: what a user's client is configured by, one file a platform."""
