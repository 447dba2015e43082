"""The pages that people read: `voice-app docs` shows them. Two are made from the code, see `generated`."""
