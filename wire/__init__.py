"""What both edges need to talk to the outside: errors, bounded HTTP, secrets, durations.

It knows nothing of messages, cases or alerts.
"""
