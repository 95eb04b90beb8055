"""Reading an image file as 8-bit pixels, with Pillow."""

from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from mixvae.errors import MixvaeError

# Pillow's names. It would cut other formats to 8 bits without a word, if called .png.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
_GREY = ("1", "L", "LA")  # modes
_TRANSPARENT = ("LA", "PA", "RGBA")
_DEEP = ("I", "F")  # beginnings of modes with more than 8 bits
_PNG_BIT_DEPTH = 24  # the byte of a PNG file with its bit depth
_TIFF_BITS, _TIFF_SAMPLE_FORMAT, _UNSIGNED = 258, 339, (1, 4)


def read_image(path: Path, image_size: tuple[int, int] | None = None) -> np.ndarray:
    """The image in uint8, (H, W) if it is grey and else (H, W, 3), turned as its EXIF data require.

    What is transparent becomes white, as in most viewers. ``image_size`` is the height and width in
    pixels to resize to. Raises `MixvaeError` for what cannot be read, for more than 8 bits a
    channel, which would be lost, and for animations and files of several pages.
    """
    try:
        with path.open("rb") as file:
            return decode_image(file, str(path), image_size)
    except OSError as error:
        raise _unreadable(str(path), error) from error


def decode_image(
    file: BufferedIOBase,
    where: str,
    image_size: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> np.ndarray:
    """The image in an open file, as :func:`read_image`; refused above ``max_pixels``."""
    pillow = _pillow()
    try:
        # given a path, Pillow may map the file into memory, and then scrambles a turned TIFF image
        with pillow.open(file, formats=_FORMATS) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise MixvaeError(
                    f"{where}: at most {max_pixels:,} pixels are read, got {image.width:,} x "
                    f"{image.height:,}; make the image smaller."
                )
            _check(image, file, where)
            return _pixels(_upright(image), image_size)
    except MixvaeError:
        raise
    except Exception as error:  # damaged files have Pillow raise anything
        raise _unreadable(where, error) from error


def _unreadable(where: str, error: Exception) -> MixvaeError:
    return MixvaeError(f"{where}: cannot be read as an image ({error}); remove or replace it.")


def _pixels(image: Any, image_size: tuple[int, int] | None) -> np.ndarray:
    picture = _on_white(image).convert("L" if image.mode in _GREY else "RGB")
    if image_size is not None:
        picture = picture.resize(image_size[::-1], _pillow().Resampling.BOX)
    array = np.asarray(picture)
    if image.mode == "P" and (array == array[..., :1]).all():
        return array[..., 0]  # a palette, as in .gif, may hold greys alone
    return array


def _check(image: Any, file: BufferedIOBase, where: str) -> None:
    """Raise unless there is one image, of 8 bits, to which Pillow would cut it without a word."""
    kind = ""
    if image.mode.startswith(_DEEP):  # converting would clip the values
        kind = f"Pillow's mode {image.mode}"
    elif image.format == "PNG":
        place = file.tell()  # where Pillow goes on reading
        file.seek(_PNG_BIT_DEPTH)
        bits = file.read(1)[0]
        file.seek(place)
        kind = f"{bits} bits" if bits > 8 else ""
    elif image.format == "TIFF":
        bits = max(image.tag_v2.get(_TIFF_BITS, (1,)))
        unsigned = set(image.tag_v2.get(_TIFF_SAMPLE_FORMAT, (1,))) <= set(_UNSIGNED)
        kind = f"{bits} bits" if bits > 8 else "" if unsigned else "signed values"
    if kind:
        raise MixvaeError(
            f"{where}: expected 8 bits a channel, got {kind}; convert the image first."
        )
    # a JPEG file with further images (Pillow's MPO) holds previews or other views of the same
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise MixvaeError(
            f"{where}: expected one image, got several frames or pages; save each as a file of its "
            "own."
        )


def _upright(image: Any) -> Any:
    """The image turned by its EXIF orientation; as it is stored, if that cannot be read."""
    from PIL import ImageOps

    image.load()  # it turns TIFF images itself
    with suppress(Exception):  # damaged EXIF data, which viewers ignore too
        if image.format != "TIFF":
            ImageOps.exif_transpose(image, in_place=True)
    return image


def _on_white(image: Any) -> Any:
    """The image on a white ground; transparent pixels may have any colour, often black."""
    if image.mode not in _TRANSPARENT and "transparency" not in image.info:
        return image
    white = _pillow().new("RGBA", image.size, "white")
    return _pillow().alpha_composite(white, image.convert("RGBA"))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MixvaeError(
            "reading images needs Pillow, which is not installed: pip install 'mixvae[data]'"
        ) from error
    return Image
