"""Small images of pages: made once, two at a time, and anew when their file has changed."""

import threading

import pytest

from dashboard.images import FileImage, answer_small, chosen_image, small_image
from model.data.sent import small_sent
from model.errors import InvalidInput, NotFound
from serving.limits import IMAGE_LIMITS
from tests.support.releases import draw_image


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a.png").write_bytes(draw_image(1))
    return tmp_path / "a.png"


def test_an_image_is_made_small_once_and_anew_when_its_file_has_changed(file):
    first = small_image(FileImage.of(file), 160)
    assert small_image(FileImage.of(file), 160) is first
    file.write_bytes(draw_image(2))
    assert small_image(FileImage.of(file), 160).jpeg != first.jpeg


def test_a_box_is_cut_out(file):
    small = small_image(FileImage.of(file, (10, 10, 30, 20)), 160)
    assert (small.width, small.height) == (20, 10)


def test_what_is_not_there_or_damaged_is_an_error_of_its_own(file):
    with pytest.raises(NotFound, match="not on this machine"):
        FileImage.of(file.with_name("b.png"))
    with pytest.raises(NotFound, match="not on this machine"):
        small_image(FileImage(file.with_name("b.png"), None, 0), 160)
    with pytest.raises(NotFound, match="no such size"):
        small_image(FileImage.of(file), 161)
    file.write_bytes(b"no image")
    with pytest.raises(InvalidInput):
        small_image(FileImage.of(file), 160)


def test_browsers_keep_an_image_for_ever_and_for_themselves(file):
    answer = answer_small(FileImage.of(file), 320)
    assert (answer.media_type, answer.headers["cache-control"]) == ("image/jpeg", "private, max-age=31536000, immutable")


def test_no_more_than_two_images_are_decoded_at_once_wherever_they_come_from(file, monkeypatch):
    inside, most, both = 0, 0, threading.Barrier(2, timeout=10)

    def decode(*_, **__):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        both.wait()
        inside -= 1

    for module in ("dashboard.images", "model.data.sent"):
        monkeypatch.setattr(f"{module}.thumbnail", decode)
    asked = ((chosen_image, FileImage.of(file), 160), (small_sent, file.read_bytes(), 160, IMAGE_LIMITS))
    threads = [threading.Thread(target=call, args=arguments) for call, *arguments in asked * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
