"""Keep a subject from harming anything but its own verdict: processes, watchdog, global state."""
