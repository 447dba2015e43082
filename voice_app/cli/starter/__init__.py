"""What ``voice-app init`` writes beside the files that ship: an agent to change, and its test."""
