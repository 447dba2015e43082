import pytest

from voice_app.relay.ticket import TicketError, Tickets


def test_a_ticket_opens_a_session_of_its_call() -> None:
    tickets = Tickets(["secret"], 60)
    assert tickets.redeem(tickets.issue("CA1")) == "CA1"


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets(["secret"], 60)
    token = tickets.issue("CA1")
    tickets.redeem(token)
    with pytest.raises(TicketError, match="before"):
        tickets.redeem(token)


def test_two_tickets_of_one_call_differ() -> None:
    tickets = Tickets(["secret"], 60)
    assert tickets.issue("CA1") != tickets.issue("CA1")


def test_a_ticket_of_another_machine_is_good() -> None:
    assert Tickets(["secret"], 60).redeem(Tickets(["secret"], 60).issue("CA1")) == "CA1"


def test_a_ticket_survives_the_rotation_of_the_auth_token() -> None:
    before = Tickets(["old"], 60).issue("CA1")
    assert Tickets(["new", "old"], 60).redeem(before) == "CA1"


def test_a_ticket_expires() -> None:
    tickets = Tickets(["secret"], -1)
    with pytest.raises(TicketError, match="older"):
        tickets.redeem(tickets.issue("CA1"))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "W10.aaaaaa.bbbb"])
def test_a_forged_ticket_is_refused(token: str) -> None:
    with pytest.raises(TicketError, match="not issued here"):
        Tickets(["secret"], 60).redeem(token)
