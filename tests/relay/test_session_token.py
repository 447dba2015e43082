from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.relay.session_token import Ticket, TicketError, Tickets


def issued(tickets: Tickets, call_sid: str = "CA1") -> Ticket:
    return tickets.read(tickets.issue(call_sid))


def test_a_ticket_names_its_call() -> None:
    assert issued(Tickets(["secret"], 60)).call_sid == "CA1"


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets(["secret"], 60)
    ticket = issued(tickets)
    tickets.redeem(ticket)
    assert tickets.is_used(ticket)
    with pytest.raises(TicketError, match="before"):
        tickets.redeem(ticket)


def test_a_ticket_that_another_machine_has_taken_is_refused() -> None:
    ticket = issued(Tickets(["secret"], 60))
    with pytest.raises(TicketError, match="before"):
        Tickets(["secret"], 60).redeem(ticket, used={ticket.nonce})


def test_two_tickets_of_one_call_differ() -> None:
    tickets = Tickets(["secret"], 60)
    assert issued(tickets).nonce != issued(tickets).nonce


def test_a_ticket_of_another_machine_is_good() -> None:
    here = Tickets(["secret"], 60)
    ticket = here.read(Tickets(["secret"], 60).issue("CA1"))
    here.redeem(ticket)
    assert ticket.call_sid == "CA1"


def test_a_ticket_survives_the_rotation_of_the_auth_token() -> None:
    before = Tickets(["old"], 60).issue("CA1")
    assert Tickets(["new", "old"], 60).read(before).call_sid == "CA1"


def test_a_ticket_expires_but_can_still_be_read() -> None:
    tickets = Tickets(["secret"], -1)
    with pytest.raises(TicketError, match="older"):
        tickets.redeem(issued(tickets))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "W10.aaaaaa.bbbb"])
def test_a_forged_ticket_is_refused(token: str) -> None:
    with pytest.raises(TicketError, match="not issued here"):
        Tickets(["secret"], 60).read(token)


@given(after=st.integers(0, 2**48))
def test_a_token_tells_the_time_that_another_machine_is_to_write_after(after: int) -> None:
    tickets = Tickets(["secret"], 60)
    ticket = tickets.read(tickets.issue("CA1", after))
    assert ticket.after == after
    assert tickets.issue("CA1", after).count(".") == 3  # as servers know it that are older


def test_a_token_has_the_form_that_all_servers_know() -> None:
    """Older servers, which may take over in the middle of a call, write and read it with itsdangerous."""
    ticket = Tickets(["secret"], 60).read("CA1.abcdefgh.awuHIA.27E6LCxTvvU_QIyuAIR5nNH_0TM")
    assert (ticket.call_sid, ticket.nonce, ticket.issued_at) == ("CA1", "abcdefgh", 1795917600)
