"""A call's audio: from the caller to speech to text, and from text to speech to the caller."""
