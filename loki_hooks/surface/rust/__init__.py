"""What Rust sources offer."""
