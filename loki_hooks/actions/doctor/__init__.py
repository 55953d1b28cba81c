"""What is damaged is found, and mended on proof."""
