"""The telephone: inbound and outbound calls over Twilio."""
