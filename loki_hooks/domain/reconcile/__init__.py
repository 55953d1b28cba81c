"""What a pass knows, and which steps are right now."""
