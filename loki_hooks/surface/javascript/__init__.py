"""What JavaScript and TypeScript sources offer."""
