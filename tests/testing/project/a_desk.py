from voice_app import EndCall


async def agent(call, turn):
    """Gives money back for order 4711."""
    words = turn.text.casefold()
    if digits := "".join(filter(str.isdigit, words)):
        if digits == "4711":
            yield "Thank you. Your refund for order 4711 is on its way, you have it by Friday. Anything else?"
        else:
            yield f"I cannot find order {digits}. What is your order number?"
    elif words == "no!":
        yield "Goodbye!"
        yield EndCall()
    elif "money" in words:
        yield "I am sorry to hear that, and I will gladly help you. What is your order number, please?"
    else:
        yield "Sorry, I did not get that. What can I do for you?"
