"""Real processes, killed for real, and what they saw checked: nothing acknowledged may be lost."""
