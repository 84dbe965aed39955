"""Suffixes of image files. They tell what a person may take for an image; the format is read from the first bytes."""

_DECODED = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo"),
    *(".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".avif", ".avifs"),
)
_UNDECODED = (
    *(".tif", ".tiff", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl"),
    *(".jp2", ".j2k", ".jpf", ".jpx", ".jpm", ".j2c", ".jpc"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pcx", ".tga", ".ico", ".qoi", ".dds", ".exr", ".hdr"),
    *(".svg", ".psd", ".xcf", ".dcm"),
    *(".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
)
SUFFIXES = _DECODED + _UNDECODED
"""Usual suffixes of images, in lower case: of formats that are decoded, and of those that are refused by name."""
