"""One call's WebSocket: the frames, the session and its rules, and the thin connection around them."""
