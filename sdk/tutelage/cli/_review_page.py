"""The page of a reviewer: an item, what was said of it, and the keys that go on, as lines for a terminal."""

from typing import TYPE_CHECKING, Any

from tutelage._names import short_name
from tutelage.cli._output import clean
from tutelage.cli._review_desk import STRENGTH, STRENGTHS, Desk
from tutelage.cli._review_words import GONE, NEW, word_diff
from tutelage.cli.review_items import prompt_text

if TYPE_CHECKING:
    import tutelage

# From this width on two answers stand side by side.
SIDE_BY_SIDE_COLUMNS = 100
LETTERS = "ABCDEFGHIJKLMNOP"
STYLES = {GONE: "red strike", NEW: "green underline"}
KEYS = {
    "PAIR": "A left  B right  (Shift: far better)  E equal  N both bad  D difference",
    "SINGLE": "1–9 rating  + good  - bad",
    "RANKING": "1–9 the answers, best first",
}
ALWAYS = "Enter give it  C correct  R why  Z undo  S skip  X discard  G guidelines  ? help  Q quit"


class Page:
    """Draws a desk for a width; the lines hold colours, and nothing that a terminal would obey otherwise."""

    def __init__(self, desk: Desk, *, width: int) -> None:
        from rich.console import Console

        self.desk = desk
        self.console = Console(
            width=width, force_terminal=True, highlight=False, markup=False, emoji=False, legacy_windows=False
        )
        self.width = width
        self.is_diff = False

    def head(self, notice: str) -> list[str]:
        """Returns where one is, and what there is to tell."""
        desk, sender = self.desk, self.desk.sender
        line = styled("", "").append(short_name(desk.review.name), style="bold")
        line.append(f"  {desk.given:,} given, {max(sender.items_left, 0):,} left", style="dim")
        waiting = sender.unsent()
        if sender.trouble:
            line.append(f"  no line: {waiting} on this disk, sent when it is back", style="yellow")
        told = [styled(clean(notice), "yellow")] if notice else [styled("", "")]
        return self._lines(line, *told)

    def body(self) -> list[str]:
        """Returns the prompt and the answers."""
        seat = self.desk.seat
        if seat is None:
            return []
        prompt = self._panel("what was asked", plain(prompt_text(seat.prompt)), is_chosen=False)
        return self._lines(prompt, self._answers(seat), *self._correction(seat))

    def foot(self) -> list[str]:
        """Returns what was said, the focused question, and the keys."""
        desk = self.desk
        keys = styled(f"{KEYS.get(desk.kind, '')}   {ALWAYS}", "dim")
        return self._lines(*self._rationale(), self._question(), keys)

    def _answers(self, seat: "tutelage.Seat") -> Any:
        """Returns the answers: two side by side if there is room, else one below the other."""
        from rich.console import Group
        from rich.table import Table

        panels = [self._answer(seat, number) for number in range(len(seat.candidates))]
        if len(panels) != 2 or self.width < SIDE_BY_SIDE_COLUMNS:
            return Group(*panels)
        grid = Table.grid(expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(*panels)
        return grid

    def _answer(self, seat: "tutelage.Seat", number: int) -> Any:
        """Returns one answer, or what makes it different from the first one."""
        said, title = self.desk.judgement, answer_name(self.desk, number)
        is_chosen = said.get("preferred") == number or (said.get("ranking") or [None])[0] == number
        if number in said.get("ranking", []):
            title += f", place {said['ranking'].index(number) + 1}"
        text = plain(seat.candidates[number])
        if self.is_diff and number == 1:
            text, title = different(seat.candidates[0], seat.candidates[1]), f"{title}, against A"
        return self._panel(title, text, is_chosen=is_chosen)

    def _panel(self, title: str, text: Any, *, is_chosen: bool) -> Any:
        from rich import box
        from rich.panel import Panel

        style, edges = ("green", box.HEAVY) if is_chosen else ("dim", box.ROUNDED)
        return Panel(text, title=title, title_align="left", border_style=style, box=edges)

    def _correction(self, seat: "tutelage.Seat") -> list[Any]:
        """Returns the better answer that was written, against the one it is made of."""
        said = self.desk.judgement
        if "correction" not in said:
            return []
        title = f"your correction of {answer_name(self.desk, said['corrected'])}"
        return [self._panel(title, different(seat.candidates[said["corrected"]], said["correction"]), is_chosen=True)]

    def _rationale(self) -> list[Any]:
        """Returns why, if it was said."""
        if "rationale" not in self.desk.judgement:
            return []
        return [styled("", "").append("why: ", style="dim").append(clean(self.desk.judgement["rationale"]))]

    def _question(self) -> Any:
        """Returns what is asked now, with what was answered."""
        desk = self.desk
        line = styled("▸ ", "")
        for name in desk.questions():
            style = "bold" if name == desk.focus else "dim"
            line.append(f"{question_of(desk, name)}   ", style=style)
        return line

    def _lines(self, *parts: Any) -> list[str]:
        with self.console.capture() as captured:
            for part in parts:
                self.console.print(part)
        return captured.get().splitlines()


def question_of(desk: Desk, name: str) -> str:
    """Returns a question with its answer, or with what answers it."""
    said = desk.judgement
    if name == STRENGTH:
        chosen = said.get("strength")
        words = "  ".join(f"{number} {word}" for number, word in STRENGTHS.items())
        return f"how much better? {STRENGTHS[chosen] if chosen else words}"
    if name in desk.rubric:
        asked = next(question for question in desk.review.rubric if question.key == name)
        return f"{clean(asked.description) or name}: {said.get('rubric', {}).get(name, '1–9')}"
    answers = {
        "PAIR": {0: "A", 1: "B"}.get(said.get("preferred", -1), str(said.get("verdict", "")).replace("_", " ")),
        "SINGLE": str(said.get("score") or {1: "good", -1: "bad"}.get(said.get("rating", 0), "")),
        "RANKING": " > ".join(str(place + 1) for place in said.get("ranking", [])),
    }
    asks = {"PAIR": "which is better?", "SINGLE": "how good is it?", "RANKING": "in which order, best first?"}
    return f"{asks.get(desk.kind, '')} {answers.get(desk.kind, '')}".rstrip()


def answer_name(desk: Desk, number: int) -> str:
    """Returns what an answer is called: by a letter in pairs, by a number in rankings."""
    if desk.kind == "PAIR":
        return LETTERS[number]
    return str(number + 1) if desk.kind == "RANKING" else "the answer"


def different(before: str, after: str) -> Any:
    """Returns a text with what is gone and what is new in it."""
    text = styled("", "")
    for kind, piece in word_diff(before, after):
        text.append(clean(piece), style=STYLES.get(kind, ""))
    return text


def plain(content: str) -> Any:
    """Returns a text of a model or of a person, safe to show; one that is empty says so."""
    return styled(clean(content), "") if content.strip() else styled("(empty)", "dim")


def styled(text: str, style: str) -> Any:
    """Returns text with a style; nothing in it is taken for markup."""
    from rich.text import Text

    return Text(text, style=style)
