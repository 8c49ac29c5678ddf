"""Read the console's pages as a person does: what a part of a page says, what can be pressed on it, what is markup."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = ("br", "hr", "img", "input", "link", "meta")
BLOCKS = ("p", "li", "dt", "dd", "div", "h1", "h2", "h3", "form", "article", "section", "summary", "button", "tr")


@dataclass
class Form:
    """What one form sends: its hidden fields, and what each of its buttons adds."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[dict[str, str]] = field(default_factory=list)

    def can_send(self, **fields: str) -> bool:
        """Tell whether a button of it sends these fields among others."""
        return any(fields.items() <= {**self.fields, **values}.items() for values in self.buttons)


class Part(HTMLParser):
    """One element of a page: its text, its forms and links, and everything that is no text."""

    def __init__(self, page: str, **wanted: str) -> None:
        """Read the first element that has this attribute, such as `id="card-…"`."""
        super().__init__(convert_charrefs=True)
        [(self._name, self._value)] = wanted.items()
        self._open: list[str] = []
        self._text: list[str] = []
        self._link: tuple[str, list[str]] = ("", [])
        self.found = False
        self.markup: list[str] = []
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self.feed(page)
        self.close()

    @property
    def text(self) -> str:
        """Return what is read there, one line for each block."""
        lines = (" ".join(line.split()) for line in "".join(self._text).split("\n"))
        return "\n".join(line for line in lines if line)

    def form(self, end: str, **fields: str) -> Form:
        """Return the form that leads to a place which ends so, with these fields or buttons that send them."""
        for form in self.forms:
            if form.action.endswith(end) and form.can_send(**fields):
                return form
        raise LookupError(f"no form to …{end} with {fields} in: {self.text}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if not self._open and (self.found or given.get(self._name) != self._value):
            return
        self.found = True
        if tag not in VOID:
            self._open.append(tag)
        self.markup += [tag, *(f"{name}={value}" for name, value in given.items())]
        if tag in BLOCKS:
            self._text.append("\n")
        if tag == "form":
            self.forms.append(Form(given["action"]))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            self.forms[-1].buttons.append({given["name"]: given["value"]} if "name" in given else {})
        elif tag == "a":
            self._link = (given["href"], [])

    def handle_endtag(self, tag: str) -> None:
        if not self._open:
            return
        assert self._open.pop() == tag, f"</{tag}> ends something else"
        if tag == "a":
            self.links["".join(self._link[1]).strip()] = self._link[0]
        if tag in BLOCKS:
            self._text.append("\n")

    def handle_data(self, data: str) -> None:
        if self._open:
            self._text.append(data)
            self._link[1].append(data)

    def handle_comment(self, data: str) -> None:
        self.markup.append(data)

    def handle_decl(self, decl: str) -> None:
        self.markup.append(decl)
