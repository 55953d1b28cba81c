"""What passed gets into the integration branch."""
