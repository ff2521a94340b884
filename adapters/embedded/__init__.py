"""Models that run in this process: speech to text, language model, text to speech, voice activity."""
