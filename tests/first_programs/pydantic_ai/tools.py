import random

from pydantic_ai import Agent, RunContext

agent = Agent(
    "ollama:qwen3",
    deps_type=str,
    instructions="You're a dice game, you should roll the die and see if the number you get back matches the user's "
    "guess. If so, tell them they're a winner. Use the player's name in the response.",
)
called = []


@agent.tool_plain
def roll_dice() -> str:
    """Roll a six-sided die and return the result."""
    called.append("roll_dice")
    return str(random.randint(1, 6))


@agent.tool
def get_player_name(ctx: RunContext[str]) -> str:
    """Get the player's name."""
    called.append("get_player_name")
    return ctx.deps


dice_result = agent.run_sync("My guess is 4", deps="Anne")
assert called, "no tool was called"
print(dice_result.output)
