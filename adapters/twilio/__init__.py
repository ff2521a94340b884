"""Twilio: the account that places calls, its webhooks, and the tones of keys."""
