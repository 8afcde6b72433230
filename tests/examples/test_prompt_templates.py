"""Templates: what they render, what they refuse, and that nothing of Python can be reached through them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.examples.prompt_templates import Field, TemplateError, parse_template

ROW: dict[str, Any] = {
    "name": "Ünï",
    "size": 4,
    "price": 1.5,
    "sold": True,
    "none": None,
    "tags": ["a", "b", 3],
    "parts": [{"n": 1}, {"n": 2}],
    "maker": {"name": "Acme", "site": {"city": "Bonn"}},
    "a.b": "dotted",
    "x, y": "comma",
}
PATH = "train/red cat/1.b.jpg"


@pytest.mark.parametrize(
    "template, text",
    [
        ("plain", "plain"),
        ("", ""),
        ("{name}", "Ünï"),
        ("<{size}|{price}|{sold}|{none}>", "<4|1.5|true|>"),
        ("{tags}", "a, b, 3"),
        ("{parts}", '[{"n":1},{"n":2}]'),
        ("{maker}", '{"name":"Acme","site":{"city":"Bonn"}}'),
        ("{maker.name} of {maker.site.city}", "Acme of Bonn"),
        ("{parts.1.n}{parts.7.n}{parts.x}{name.x}", "2"),
        ("{a.b}", "dotted"),
        ('{"x, y"}', "comma"),
        ("{{name}} {{{name}}}", "{name} {Ünï}"),
        ("}}{{", "}{"),
        ("{ name }{name | json}", 'Ünï"Ünï"'),
        ("{none|json}{missing|json}{missing}", "nullnull"),
        ("{tags|json}", '["a","b",3]'),
        ("{name,size,none,maker.name|object}", '{"name":"Ünï","size":4,"none":null,"maker.name":"Acme"}'),
        ("{name|object}", '{"name":"Ünï"}'),
        ("{path} {path.parent} {path.stem} {path.name}", f"{PATH} red cat 1.b 1.b.jpg"),
        ("{path.1}/{path.2}/{path.3}", "train/red cat/"),
    ],
)
def test_what_a_template_renders(template: str, text: str) -> None:
    assert parse_template(template).render(ROW, PATH) == text


def test_a_column_that_is_called_path_is_the_column() -> None:
    assert parse_template("{path} {path.stem}").render({"path": "p", "path.stem": "s"}, "a/b.jpg") == "p s"
    assert parse_template("{path.stem}").render({"path": {"stem": "inner"}}, "a/b.jpg") == "inner"


@pytest.mark.parametrize(
    "path, parts",
    [
        ("a.jpg", [None, "a", None]),
        ("gs://bucket/x/a.jpg", ["x", "a", "x"]),
        ("/data/x/a.jpg", ["x", "a", "data"]),
        ("./x/a", ["x", "a", "x"]),
    ],
)
def test_parts_of_a_path(path: str, parts: list[str | None]) -> None:
    rendered = parse_template("{path.parent|json}{path.stem|json}{path.1|json}").render({}, path)
    assert rendered == "".join(json.dumps(part) for part in parts)


@pytest.mark.parametrize(
    "template, told",
    [
        ("{", "character 1 needs the name of a column"),
        ("{}", "character 1 needs the name of a column"),
        ("ab{ }", "character 3 needs the name of a column"),
        ("{a", "the { at character 1 is not closed"),
        ("x}", "character 2 is a } that closes nothing"),
        ("{a,b}", "several columns need |object"),
        ("{a,b|json}", "several columns need |object"),
        ("{a,}", "needs the name of a column"),
        ("{a|upper}", "'upper' is no filter; there are |json and |object"),
        ("{a!r}{a", "the { at character 6 is not closed"),
        ('{"a}', "needs the name of a column"),
        ('{"a"b}', "'b' is no filter"),
    ],
)
def test_a_template_that_cannot_be_read_says_where(template: str, told: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(template)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "template, doubled",
    [
        ('Answer as {"colour": "red"}', 'Answer as {{"colour": "red"}}'),
        ('{"colour": "{colour}"}', '{{"colour": "{colour}"}}'),
        ('{"colour": {colour}, "all": {a,b|object}}', '{{"colour": {colour}, "all": {a,b|object}}}'),
        ('[{\n  "a": {"b": [1, 2]}\n}]', '[{{\n  "a": {{"b": [1, 2]}}\n}}]'),
        ("{'a': 1, 'b': {x", "{{'a': 1, 'b': {{x"),
        ('{"a" : "}"}', '{{"a" : "}}"}}'),
    ],
)
def test_braces_of_json_are_offered_doubled(template: str, doubled: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(template)
    assert str(caught.value) == f"braces that are text, as those of JSON, are written twice: {doubled}"
    parse_template(doubled)


@pytest.mark.parametrize(
    "hostile",
    ["{name.__class__}", "{name.__class__.__mro__.1}", "{0.__globals__}", "{tags.append}", "{maker.keys}", "{tags.-1}"],
)
def test_nothing_of_python_leaks(hostile: str) -> None:
    assert parse_template(hostile).render(ROW, PATH) == ""


def test_format_specifications_are_names_and_not_run() -> None:
    assert parse_template("{name:>1000000000}").pieces == (Field(("name:>1000000000",)),)


@given(st.text(), st.text())
def test_text_with_doubled_braces_is_itself_and_values_are_not_templates(text: str, value: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert parse_template(doubled + "{v}").render({"v": value}) == text + value


@given(st.text(alphabet='{}|,."ab ', max_size=12))
def test_any_text_is_a_template_or_an_error_of_its_own(text: str) -> None:
    try:
        parse_template(text).render({"a": "1"}, "x/y.jpg")
    except TemplateError as error:
        assert str(error)


def test_names_stand_once_and_in_order() -> None:
    assert parse_template("{b} {a,b|object} {path.stem} {c.d}").names == ("b", "a", "path.stem", "c.d")
