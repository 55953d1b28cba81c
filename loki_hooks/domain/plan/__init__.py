"""A plan: tasks, what each waits for, and in which order they go."""
