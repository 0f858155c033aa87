"""The grammar: which words belong together, and in which order they are read."""

from __future__ import annotations

from typing import Any

from crm.errors import InvalidInput
from leads.search.legacy.keys import NOTHING, RELATED, Keys, related


class Reader:
    """Recursive descent: any = all (or all)*; all = term+; term = not term, (any), key op value, word."""

    def __init__(self, tokens: list[tuple[str, str]], keys: Keys) -> None:
        self.keys = keys
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    def peek(self, ahead: int = 0) -> Any:
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def take(self) -> tuple[str, str]:
        found = self.peek()
        if found is None:
            raise InvalidInput(fields={"query": "The query ends too early."})
        self.at += 1
        return found

    def _is_word(self, word: str) -> bool:
        found = self.peek()
        return found is not None and found[0] == "word" and found[1].lower() == word

    def any(self, of: str = "lead") -> dict[str, Any]:
        """Return the tree of what stands up to the end or the closing parenthesis; `of`: whose fields are named."""
        self.depth += 1
        if self.depth > 8:
            raise InvalidInput(fields={"query": "The query is nested too deeply."})
        found = [self.all(of)]
        while self._is_word("or"):
            self.take()
            found.append(self.all(of))
        self.depth -= 1
        return found[0] if len(found) == 1 else {"type": "or", "queries": found}

    def all(self, of: str) -> dict[str, Any]:
        found = []
        while self.peek() is not None and self.peek() != ("op", ")") and not self._is_word("or"):
            if self._is_word("and"):
                self.take()
                continue
            term = self.term(of)
            if term is not None:
                found.append(term)
        return {"type": "and", "queries": found}

    def term(self, of: str) -> dict[str, Any] | None:
        turned = False
        while self._turns():
            turned = not turned
        found = self._plain(of)
        return {"type": "and", "queries": [found], "negate": True} if turned and found is not None else found

    def _turns(self) -> bool:
        """Take a `not`, or the `-` before a word; returns whether there was one."""
        if self._is_word("not"):
            self.take()
            return True
        kind, text = self.peek() or ("", "")
        if kind == "word" and len(text) > 1 and text.startswith("-") and not text[1].isdigit():
            self.tokens[self.at] = (kind, text[1:])
            return True
        return False

    def _plain(self, of: str) -> dict[str, Any] | None:
        kind, text = self.take()
        if (kind, text) == ("op", "("):
            inner = self.any(of)
            self._close()
            return inner
        if kind == "op":
            raise InvalidInput(
                fields={"query": f"“{text}” was not expected there. Put text with such characters in quotes."}
            )
        following = self.peek()
        if following == ("op", "(") and text.lower() in ("opportunity", "opportunities"):
            self._pass_over()
            return dict(NOTHING)
        if following == ("op", "(") and text.lower() in RELATED and of == "lead":
            self.take()
            name = RELATED[text.lower()]
            inner = self.any(name)
            self._close()
            return related(name, inner)
        if following is not None and following[0] == "op" and following[1] not in "()":
            return self._compared(text, of)
        if following == ("word", "in") and self.peek(1) == ("op", "("):
            self.take()
            return self._one_of(text, of)
        if of not in ("lead", "contact"):
            raise InvalidInput(fields={"query": f"“{text}” is not understood there."})
        if not text.strip("* "):
            return None
        return {"type": "text", "value": text, "mode": "phrase" if kind == "quoted" else "beginning_of_words"}

    def _compared(self, key: str, of: str) -> dict[str, Any] | None:
        operator = self.take()[1]
        if operator == "!=":
            same = self.keys.expression(key, ":", self.take()[1], of)
            return None if same is None else {"type": "and", "queries": [same], "negate": True}
        if operator in ":=" and self.peek() == ("op", "("):
            return self._one_of(key, of)
        return self.keys.expression(key, operator, self.take()[1], of)

    def _one_of(self, key: str, of: str) -> dict[str, Any]:
        """Read `(A, "B b", C)` or `(A or B)`: one of these values."""
        self.take()
        values: list[str] = []
        while self.peek() is not None and self.peek()[0] != "op":
            kind, text = self.take()
            parts = [text] if kind == "quoted" else [part for part in text.split(",") if part and part.lower() != "or"]
            values += parts
        self._close()
        found = [node for value in values if (node := self.keys.expression(key, ":", value, of)) is not None]
        return {"type": "or", "queries": found} if found else dict(NOTHING)

    def _pass_over(self) -> None:
        """Leave out a pair of parentheses and what is in it."""
        depth = 0
        while True:
            depth += {("op", "("): 1, ("op", ")"): -1}.get(self.take(), 0)
            if depth == 0:
                return

    def _close(self) -> None:
        if self.peek() != ("op", ")"):
            raise InvalidInput(fields={"query": "A closing parenthesis is missing."})
        self.take()
