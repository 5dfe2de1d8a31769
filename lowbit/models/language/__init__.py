"""Language models: text into tokens, and how well a decoder foretells them."""
