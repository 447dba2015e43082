"""The commands of ``voice-app``; `main` has the table of them and is where a process begins."""
