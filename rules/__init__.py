"""The core: what was written means what, who has waited too long, and whom to tell.

Everything here is pure: functions of (messages, operator actions, policy, now). No IO, no clock, no
logging, no randomness; import-linter keeps it so.
"""
