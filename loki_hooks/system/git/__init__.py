"""git, as small verbs; refs, trees and what is uncommitted."""
