"""How an encoded image becomes pixels: what is refused before decoding, one decoder a format, one rule for what is seen.

`model.data.headers` and `model.data.images` are the two doors to it. Nothing else decodes an image that a person gave.
"""
