"""Decoding of images: formats, limits before decoding, one decoder for each format, orientation and transparency.

Other packages use it through `model.data.headers` and `model.data.images` only.
"""
