"""What a landing obliges documents and posts to."""
