import pytest

from model.errors import Overloaded, TooLarge, Unavailable
from serving.gateway.room import MAX_BODY, Room


def test_a_request_that_finds_no_room_is_refused_until_another_ends():
    room = Room(max_requests=2)
    with room.request(), room.request():
        with pytest.raises(Overloaded), room.request():
            pass
        assert room.requests == 2
    with room.request():
        assert room.requests == 1
    assert room.requests == 0


def test_all_bodies_together_have_a_limit_and_give_their_room_back():
    room = Room(max_bytes=100)
    with room.request() as one:
        one.grow(60)
        with room.request() as other:
            other.grow(40)
            with pytest.raises(Unavailable):
                other.grow(1)
        assert room.bytes == 60
        one.grow(40)
    assert (room.requests, room.bytes) == (0, 0)


def test_one_body_has_a_limit_of_its_own():
    room = Room()
    with room.request() as body:
        body.grow(MAX_BODY)
        with pytest.raises(TooLarge):
            body.grow(1)
    assert room.bytes == 0


def test_operators_find_room_where_callers_do_not():
    room = Room(max_requests=1, reserved=1)
    with room.request():
        with pytest.raises(Overloaded), room.request():
            pass
        with room.request(for_operator=True), pytest.raises(Overloaded), room.request(for_operator=True):
            pass


def test_the_bodies_of_one_key_that_arrive_slowly_leave_room_for_those_of_others():
    room = Room(max_requests=4)
    with room.arrival("slow"), room.arrival("slow"):
        with pytest.raises(Overloaded), room.arrival("slow"):
            pass
        with room.arrival("other"):
            pass
    assert not room.arriving
