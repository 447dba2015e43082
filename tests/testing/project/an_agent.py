from voice_app import Break, EndCall, Keys, Transfer


async def agent(call, turn):
    call.keys = Keys(length=2)
    if turn.kind == "keys":
        yield f"You pressed {turn.text}."
    elif "order" in turn.text:
        yield "Let me look that up. "
        yield Break()
        call.state["orders"] = call.state.get("orders", 0) + 1
        yield f"Order 81 leaves today. You have asked {call.state['orders']} times."
    elif "person" in turn.text:
        yield "I will get you a colleague. "
        yield Transfer(reason="asked", summary="Wants a person.")
    elif "bye" in turn.text:
        yield "Goodbye!"
        yield EndCall()
    elif "memory" in turn.text:
        yield f"I know: {' / '.join(call.memory)}."
    elif "break" in turn.text:
        raise RuntimeError("a bug of the agent")
    else:
        yield "Sorry, what? "
