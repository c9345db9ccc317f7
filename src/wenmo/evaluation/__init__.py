"""How good a model is: bits per byte beside strong compressors, metrics of written text, and the report."""
