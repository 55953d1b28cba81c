"""The front door for people: a lazy click group, one module per command. Only here and in hooks/ we print."""
