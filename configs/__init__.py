"""Configs of the apps: one file each, variants after a colon."""
