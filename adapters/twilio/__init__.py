"""Twilio: the account that places calls, its webhooks, and the tones of keys."""

BASE_URL = "https://api.twilio.com"
