"""An agent with a model and tools. Put your own systems where ORDERS and PAID_BACK are."""

from voice_app.agents.actions import ACTIONS
from voice_app.agents.chat import Chat, ChatSettings
from voice_app.agents.tools import tool

ORDERS = {81: "leaves today", 82: "was delivered yesterday"}
PAID_BACK: list[int] = []


@tool(filler="I am looking that up.", acts=False)
async def order_status(number: int) -> str:
    """Where an order is.

    Args:
        number: The order's number.
    """
    return ORDERS.get(number, "there is no such order: ask for the number again")


@tool
async def pay_back(number: int) -> str:
    """Pay an order back. Only after the caller has said yes to it.

    Args:
        number: The order's number.
    """
    if number in PAID_BACK:
        return "it was paid back before"
    PAID_BACK.append(number)
    return "paid back; the money is there in three days"


agent = Chat(ChatSettings(), tools=[*ACTIONS, order_status, pay_back])
