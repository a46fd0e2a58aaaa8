"""An action grammar: a small vocabulary whose sentences are shell commands.

A sentence is a command's name and a word for each of its slots. After every token the grammar says which may follow, so that a
policy over it says nothing ill-formed. What the environment shows becomes words too, which no policy can say.

    grammar = ActionGrammar(
        [
            Command(name="write", slots=[("1", "2", "3")], render=lambda words: f"echo {words[0]} > answer.txt"),
            Command(name="submit", render=lambda words: "submit", after=("write",)),
        ],
        shown_words=("better", "not better"),
        show=lambda observation, reward: ["better" if reward > 0 else "not better"],
    )
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

BEGIN = 0
"""The id of the one token of every prompt."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One kind of action."""

    name: str
    render: Callable[[Sequence[str]], str]
    """The shell input for the words of its slots."""
    slots: Sequence[Sequence[str]] = ()
    """The words that each slot can have."""
    permits: Callable[[Sequence[str]], bool] = lambda words: True
    """Whether its first slots may have these words, one at least; each that is permitted must permit one that follows it."""
    after: Sequence[str] = ()
    """Names of commands of which one must have come before it in the episode; none are needed where it is empty."""


class ActionGrammar:
    """Tells ids of tokens and words apart. Ids are int, from 0 to `size` - 1."""

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        shown_words: Sequence[str] = (),
        show: Callable[[str, float], Sequence[str]] = lambda observation, reward: (),
    ) -> None:
        """`show` chooses, of `shown_words`, those that tell a policy what an action printed and its reward.

        Raises:
            ValueError: Two commands have one name, one comes after another that is none, a slot has no words, a word is shown
                twice, or no command may come first.
        """
        names = [command.name for command in commands]
        for command in commands:
            if unknown := [name for name in command.after if name not in names]:
                raise ValueError(f"the command {command.name!r} comes after {unknown[0]!r}, which is none of {', '.join(names)}")
            if any(isinstance(slot, str) or not slot for slot in command.slots):
                raise ValueError(f"the command {command.name!r} has a slot without words; expected a list of words for each")
        if len({*shown_words}) < len(shown_words):
            raise ValueError(f"a word is twice among those that are shown: {', '.join(shown_words)}")
        said = list(dict.fromkeys(word for command in commands for slot in command.slots for word in slot))
        if len({*names}) < len(names):
            raise ValueError(f"two commands of a grammar have one name: {names}")
        self._commands = dict(enumerate(commands, start=1))
        self._said = {word: at for at, word in enumerate(said, start=1 + len(names))}
        self._shown = {word: at for at, word in enumerate(shown_words, start=1 + len(names) + len(said))}
        self._show = show
        self.words: tuple[str, ...] = ("<begin>", *names, *said, *shown_words)
        """What each id stands for."""
        if not self.allowed([BEGIN]):
            raise ValueError("the grammar has no command that may come first")

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return len(self.words)

    def allowed(self, context: Sequence[int]) -> list[int]:
        """The ids that may follow a context: words of the action that is begun, or else names of commands.

        Raises:
            ValueError: A command permits no word where one must follow.
        """
        at = self._last_command(context)
        if at is not None:
            command, filled = self._commands[context[at]], self._filled(context, at)
            if len(filled) < len(command.slots):
                return self._next_words(command, filled)
        earlier = {self._commands[token].name for token in context if token in self._commands}
        return [token for token, command in self._commands.items() if not command.after or earlier.intersection(command.after)]

    def is_whole(self, context: Sequence[int]) -> bool:
        """Whether the last action of a context has a word for every slot; False where there is no action."""
        at = self._last_command(context)
        return at is not None and len(self._filled(context, at)) == len(self._commands[context[at]].slots)

    def action(self, ids: Sequence[int]) -> str:
        """The shell input that the tokens of one whole action stand for."""
        return self._commands[ids[0]].render([self.words[token] for token in ids[1:]])

    def observe(self, observation: str, reward: float) -> list[int]:
        """The tokens that show what an action printed and its reward; raises ValueError for a word that is none of them."""
        words = self._show(observation, reward)
        if isinstance(words, str):
            raise ValueError(f"show gave the text {words!r}; expected a list of words")
        if unknown := [word for word in words if word not in self._shown]:
            raise ValueError(f"show gave {unknown[0]!r}, which is none of the shown_words: {', '.join(self._shown)}")
        return [self._shown[word] for word in words]

    def _last_command(self, context: Sequence[int]) -> int | None:
        return next((at for at in range(len(context) - 1, -1, -1) if context[at] in self._commands), None)

    def _filled(self, context: Sequence[int], at: int) -> list[str]:
        """The words that the slots of the command at a place have so far; what is shown behind a whole action is none of them."""
        slots = len(self._commands[context[at]].slots)
        return [self.words[token] for token in context[at + 1 : at + 1 + slots]]

    def _next_words(self, command: Command, filled: list[str]) -> list[int]:
        found = [self._said[word] for word in command.slots[len(filled)] if command.permits([*filled, word])]
        if not found:
            raise ValueError(f"the command {command.name!r} permits no word behind {filled}")
        return found
