"""From one text to another: encoder-decoder models, their training and their search."""
