"""The review tool in a terminal: one key an answer, and no waiting."""

import contextlib
import os
import select
import shutil
import sys
from collections.abc import Callable, Iterator

import click

from tutelage.cli._output import clean
from tutelage.cli._review_desk import DISCARDS, Desk
from tutelage.cli._review_page import Page, answer_name

LOOK_S = 0.5
UP, DOWN, PAGE_UP, PAGE_DOWN = "\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~"
SCROLLS = {UP: -1, DOWN: 1, PAGE_UP: -10, PAGE_DOWN: 10}
ENTERS = ("\r", "\n")
HELP = """\
A  B          the left, the right answer is better; Shift+A, Shift+B: far better
1 2 3 4       how much better: negligibly, slightly, clearly, far
E             they are equally good            N  both are bad
1 … 9         the rating; of a ranking: the answers, best first; of a further question: its answer
+  -          good, bad: a thumb for a single answer
Enter         give the vote, and go on to the next item
C             write a better answer: in $VISUAL or $EDITOR if it is set, else here
R             say why
Z             take the last vote back, also one of yesterday      Shift+Z  give it again
S             skip: the item comes again at the end
X             discard, with a reason: the item cannot be judged
D             show what is different in B                         J K      next, last question
G             the guidelines                                      arrows   scroll
Q             quit; nothing is lost: what is begun is there when you come back
"""


class Leave(Exception):
    """The reviewer wants to go."""


class Terminal:
    """Shows the desk, and does what keys say."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.notice = ""
        self.is_diff = False
        self.top = 0
        self.painted: list[str] = []
        self.seen: object = None
        self.drawn: tuple[object, list[str]] = (None, [])
        self.keys: dict[str, Callable[[], str]] = {
            "a": lambda: desk.prefer(0),
            "b": lambda: desk.prefer(1),
            "A": lambda: desk.prefer(0, strongly=True),
            "B": lambda: desk.prefer(1, strongly=True),
            "e": lambda: desk.call("equal"),
            "n": lambda: desk.call("both_bad") or self._ask_why(),
            "+": lambda: desk.thumb(1),
            "-": lambda: desk.thumb(-1),
            "c": self._correct,
            "r": self._ask_why,
            "s": desk.skip,
            "x": self._discard,
            "z": desk.undo,
            "\x1a": desk.undo,
            "Z": desk.redo,
            "j": desk.next_question,
            "\t": desk.next_question,
            "k": lambda: desk.next_question(-1),
            "d": self._toggle_diff,
            "g": self._show_guidelines,
            "?": lambda: self._show(HELP),
            "q": self._leave,
        }

    def run(self) -> None:
        """Works until the reviewer leaves, or nothing is left and they know it."""
        with contextlib.suppress(Leave, KeyboardInterrupt), own_screen():
            while True:
                before = self.desk.seat
                self.desk.open_next(timeout_s=0 if before is None and not self.painted else LOOK_S / 10)
                if self.desk.seat is not before:
                    self.top, self.is_diff = 0, False
                self.notice = "; ".join(self.desk.hear_refusals()) or self.notice
                self._paint()
                for key in read_keys(LOOK_S if self.desk.seat is not None else LOOK_S / 10):
                    self._press(key)

    def _press(self, key: str) -> None:
        """Does what a key says."""
        self.notice = ""
        if key in SCROLLS:
            self.top = max(self.top + SCROLLS[key], 0)
            return
        needs_item = key not in ("z", "\x1a", "Z", "g", "?", "q", "Q", "G")
        if needs_item and not self.desk.open_next(timeout_s=0.05):
            self.notice = self.desk.sender.ended or "the next item is on its way"
        elif needs_item and self.desk.seat is not self.seen:
            return  # typed before the item was shown: it was not meant for it
        elif key in ENTERS:
            self.notice = self.desk.submit()
        elif key in "123456789":
            self.notice = self.desk.digit(int(key))
        else:
            self.notice = (self.keys.get(key) or self.keys.get(key.lower()) or self._unknown)()

    def _unknown(self) -> str:
        return "? shows the keys"

    def _leave(self) -> str:
        raise Leave

    def _toggle_diff(self) -> str:
        self.is_diff = not self.is_diff
        return ""

    def _ask_why(self) -> str:
        text = ask("why", self.desk.judgement.get("rationale", ""))
        return self.desk.explain(text) if text is not None else ""

    def _discard(self) -> str:
        reasons = "  ".join(f"{number} {reason}" for number, reason in enumerate(DISCARDS, start=1))
        text = ask(f"it cannot be judged: {reasons}", "")
        if not text:
            return ""
        reason = DISCARDS[int(text) - 1] if text in ("1", "2", "3", "4") else text
        return self.desk.discard(reason)

    def _correct(self) -> str:
        """Lets the reviewer write a better answer, beginning with the one there is."""
        seat, said = self.desk.seat, self.desk.judgement
        assert seat is not None
        number = said.get("corrected", said.get("preferred"))
        if number is None:
            number = self._which(len(seat.candidates))
        if number is None:
            return ""
        text = edit(said.get("correction") or seat.candidates[number])
        return self.desk.correct(number, text) if text is not None else ""

    def _which(self, answers: int) -> int | None:
        """Asks which answer is meant, if there are several; None if that was not said."""
        names = [answer_name(self.desk, number) for number in range(answers)]
        if answers == 1:
            return 0
        said = (ask(f"correct which one: {', '.join(names)}", "") or "").upper()
        return names.index(said) if said in names else None

    def _show_guidelines(self) -> str:
        review = self.desk.review
        return self._show(review.guidelines or "there are no guidelines")

    def _show(self, text: str) -> str:
        """Shows a text until a key is pressed."""
        write_screen([*clean(text).splitlines(), "", "any key goes back"])
        while not read_keys(LOOK_S):
            pass
        self.painted = []
        return ""

    def _paint(self) -> None:
        """Draws the page again, if it has changed."""
        size = shutil.get_terminal_size()
        self.seen = self.desk.seat
        page = Page(self.desk, width=size.columns)
        page.is_diff = self.is_diff
        head, body, foot = page.head(self.notice), self._body(page), page.foot()
        if self.desk.seat is None:
            waiting = self.desk.sender.ended or "the next item is on its way"
            body, foot = [f"{clean(waiting)}"], ["Z takes the last vote back   Q quits"]
        room = max(size.lines - len(head) - len(foot), 1)
        self.top = min(self.top, max(len(body) - room, 0))
        shown = body[self.top : self.top + room]
        lines = [*head, *shown, *([""] * (room - len(shown))), *foot]
        if lines != self.painted:
            write_screen(lines)
            self.painted = lines

    def _body(self, page: Page) -> list[str]:
        """Returns prompt and answers, drawn again only if they look different: long answers take a while."""
        look = (self.desk.seat, repr(self.desk.judgement), self.is_diff, page.width)
        if look != self.drawn[0]:
            self.drawn = (look, page.body())
        return self.drawn[1]


def write_screen(lines: list[str]) -> None:
    """Replaces what the terminal shows."""
    text = "\x1b[H" + "".join(f"{line}\x1b[0m\x1b[K\r\n" for line in lines[:-1]) + f"{lines[-1]}\x1b[0m\x1b[K\x1b[J"
    sys.stdout.write(text)
    sys.stdout.flush()


@contextlib.contextmanager
def own_screen() -> Iterator[None]:
    """Gives the tool a screen of its own, and keys as they are pressed; afterwards all is as it was."""
    with keys_at_once():
        sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[2J")
        try:
            yield
        finally:
            sys.stdout.write("\x1b[?25h\x1b[?1049l")
            sys.stdout.flush()


@contextlib.contextmanager
def keys_at_once() -> Iterator[None]:
    """Lets keys arrive without Enter, and unseen."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin.fileno())
    tty.setcbreak(sys.stdin.fileno())
    mode = termios.tcgetattr(sys.stdin.fileno())
    mode[6][termios.VSUSP] = b"\0"  # Ctrl-Z takes a vote back
    termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


@contextlib.contextmanager
def keys_in_lines() -> Iterator[None]:
    """Lets a person type a line, and see it, while keys arrive at once otherwise."""
    import termios

    now = termios.tcgetattr(sys.stdin.fileno())
    lines = termios.tcgetattr(sys.stdin.fileno())
    lines[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, lines)
    sys.stdout.write("\x1b[?25h")
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?25l")
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, now)


def read_keys(timeout_s: float) -> list[str]:
    """Returns the keys that were pressed within a time; quick fingers and pastes come as several."""
    ready, _, _ = select.select([sys.stdin], [], [], timeout_s)
    if not ready:
        return []
    data = os.read(sys.stdin.fileno(), 1024)
    if not data or b"\x04" in data:
        raise Leave
    text = data.decode("utf-8", "replace")
    return [text] if text.startswith("\x1b") else list(text)


def ask(what: str, before: str) -> str | None:
    """Returns a line that the reviewer types below the page, beginning with what there is; None if they leave it."""
    sys.stdout.write(f"\x1b[{shutil.get_terminal_size().lines};1H\x1b[K")
    with keys_in_lines(), prefilled(before):
        try:
            return clean(input(f"{what}: ")).strip()
        except (KeyboardInterrupt, EOFError, UnicodeError):
            return None


@contextlib.contextmanager
def prefilled(text: str) -> Iterator[None]:
    """Lets the next line begin with a text, where the terminal library can do that."""
    try:
        import readline
    except ImportError:
        yield
        return
    readline.set_startup_hook(lambda: readline.insert_text(text))
    try:
        yield
    finally:
        readline.set_startup_hook(None)


def edit(text: str) -> str | None:
    """Returns a text as the reviewer changed it: in their editor if they have one or it is long, else here."""
    has_editor = bool(os.environ.get("VISUAL") or os.environ.get("EDITOR"))
    if not has_editor and "\n" not in text:
        return ask("better", text)
    sys.stdout.write("\x1b[?25h\x1b[?1049l")
    sys.stdout.flush()
    try:
        changed = click.edit(text, require_save=False)
    except click.ClickException:
        return None
    finally:
        sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[2J")
    # Editors end a file with a newline that was not there.
    return changed.removesuffix("\n") if changed is not None and not text.endswith("\n") else changed
