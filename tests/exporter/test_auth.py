import base64
import threading
import time
from datetime import timedelta

import bcrypt
import pytest

from vmcrawl.exporter.auth import Crowded, Doorkeeper, Limiter
from vmcrawl.webconfig import RateLimit


def hashed(password, cost=4):
    return bcrypt.hashpw(password[:72], bcrypt.gensalt(cost)).decode()


def basic(user, password, scheme="Basic"):
    return f"{scheme} {base64.b64encode(user + b':' + password).decode()}"


USERS = {"alice": hashed(b"wonder:land"), "böb": hashed("pässwort".encode())}


@pytest.mark.parametrize(
    "header",
    [
        basic(b"alice", b"wonder:land"),
        basic(b"alice", b"wonder:land", scheme="basic"),
        basic(b"alice", b"wonder:land", scheme="BASIC ") + " ",
        basic("böb".encode(), "pässwort".encode()),
    ],
)
def test_the_right_password_opens(header):
    doorkeeper = Doorkeeper()
    assert doorkeeper.admits(header, USERS)
    assert doorkeeper.admits(header, USERS)  # now it is remembered


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic ===",
        "Basic wÖnder",
        "Bearer " + base64.b64encode(b"alice:wonder:land").decode(),
        base64.b64encode(b"alice:wonder:land").decode(),
        "Basic " + base64.b64encode(b"alice").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        f"{basic(b'alice', b'wonder:land')},{basic(b'alice', b'wonder:land')}",
        basic(b"alice", b""),
        basic(b"", b""),
        basic(b"alice", b"wonder"),
        basic(b"alice", b"wonder:land "),
        basic(b"alice", b"wonder:land\0"),
        basic(b"Alice", b"wonder:land"),
        basic(b"nobody", b"wonder:land"),
        basic("böb".encode("latin-1"), b"wonder:land"),
    ],
)
def test_everything_else_does_not(header):
    doorkeeper = Doorkeeper()
    assert doorkeeper.admits(basic(b"alice", b"wonder:land"), USERS)
    assert not doorkeeper.admits(header, USERS)
    assert not doorkeeper.admits(header, USERS)


def test_a_crowd_that_guesses_does_not_queue_up_and_whoever_is_known_does_not_notice():
    doorkeeper = Doorkeeper(most_at_once=2)
    users = {"u": hashed(b"secret", cost=10)}
    assert doorkeeper.admits(basic(b"u", b"secret"), users)
    endings: list[object] = []

    def guess(number):
        try:
            endings.append(doorkeeper.admits(basic(b"u", b"%d" % number), users))
        except Crowded:
            endings.append(Crowded)

    guessing = [threading.Thread(target=guess, args=(number,)) for number in range(20)]
    for thread in guessing:
        thread.start()
    assert doorkeeper.admits(basic(b"u", b"secret"), users)
    for thread in guessing:
        thread.join()
    assert set(endings) == {False, Crowded}
    assert endings.count(Crowded) > 10
    assert not doorkeeper.admits(basic(b"u", b"wrong"), users), "there is room again"


def test_all_prefixes_of_bcrypt_are_known():
    for prefix in ("$2a$", "$2b$", "$2y$"):
        assert Doorkeeper().admits(basic(b"u", b"secret"), {"u": prefix + hashed(b"secret")[4:]})


def test_a_long_password_counts_as_far_as_bcrypt_looks():
    users = {"u": hashed(b"x" * 72)}
    assert Doorkeeper().admits(basic(b"u", b"x" * 100), users)
    assert not Doorkeeper().admits(basic(b"u", b"x" * 71), users)


def test_who_is_not_a_user_any_more_or_has_a_new_password_is_not_remembered():
    doorkeeper = Doorkeeper()
    header = basic(b"alice", b"wonder:land")
    assert doorkeeper.admits(header, USERS)
    assert not doorkeeper.admits(header, {"alice": hashed(b"another")})
    assert not doorkeeper.admits(header, {"bob": USERS["alice"]})
    assert doorkeeper.admits(header, USERS)


def work(action):
    started = time.thread_time()
    action()
    return time.thread_time() - started


def test_an_unknown_user_costs_as_much_work_as_a_known_one_and_one_who_is_remembered_none():
    users = {"alice": hashed(b"right", cost=10), "bob": hashed(b"other", cost=4)}
    doorkeeper = Doorkeeper()
    known = work(lambda: doorkeeper.admits(basic(b"alice", b"wrong"), users))
    unknown = work(lambda: doorkeeper.admits(basic(b"nobody", b"wrong"), users))
    assert unknown > known / 3
    assert doorkeeper.admits(basic(b"alice", b"right"), users)
    assert work(lambda: doorkeeper.admits(basic(b"alice", b"right"), users)) < known / 3


def test_many_right_passwords_do_not_fill_the_memory():
    doorkeeper = Doorkeeper()
    users = {f"u{number}": USERS["alice"] for number in range(250)}
    for name in users:
        assert doorkeeper.admits(basic(name.encode(), b"wonder:land"), users)
    assert len(doorkeeper._known) == 100


def test_a_burst_is_let_through_and_then_one_at_a_time():
    limiter = Limiter()
    hourly = RateLimit(timedelta(hours=1), 3)
    assert [limiter.allows(hourly) for _ in range(5)] == [True, True, True, False, False]
    # Another limit begins anew; without any, all come in.
    assert limiter.allows(RateLimit(timedelta(hours=2), 1))
    assert limiter.allows(None)
    quick = RateLimit(timedelta(milliseconds=1), 1)
    assert limiter.allows(quick)
    time.sleep(0.01)
    assert limiter.allows(quick)
