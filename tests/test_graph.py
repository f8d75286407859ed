"""The drawing of who trusts whom: the same relations always give the same picture."""

from xml.etree import ElementTree as ET

from ptkc.tools.graph import Node, as_svg, as_text

_SVG = "{http://www.w3.org/2000/svg}"


def _three():
    """Return the vendor's example: 1197 and each of the other two trust each other."""
    by = "PIC by owner 1197"
    return [
        Node("1197", by, ("1111", "1310"), is_ca=True),
        Node("1111", by, ("1197",)),
        Node("1310", by, ("1197",)),
    ]


def _paths(svg):
    return [path.get("class") for path in ET.fromstring(svg).findall(f"{_SVG}path")]  # noqa: S314 - our own


def test_text_shows_each_hsm_with_its_relations():
    """Those of one kind stand beside each other."""
    assert as_text(_three()) == (
        "[1197]  CA, PIC by owner 1197\n"
        "   └<──> [1111]  [1310]\n"
        "\n"
        "[1111]  PIC by owner 1197\n"
        "   └<──> [1197]\n"
        "\n"
        "[1310]  PIC by owner 1197\n"
        "   └<──> [1197]\n"
        "\n"
        "<──>  trust each other"
    )


def test_one_sided_and_unused_relations_are_told_apart():
    """An arrow says who trusts, a broken one that a PIC is held in vain."""
    text = as_text([Node("1", "a", ("2",), ("3",)), Node("2", "b"), Node("3", "c")])
    assert "├───> [2]" in text
    assert "└- -> [3]" in text
    assert "└<─── [1]" in text


def test_hsm_without_relations_is_drawn_alone():
    """There is no legend for nothing."""
    assert "[1197]  no PIC" == as_text([Node("1197", "no PIC")])


def test_picture_has_a_line_for_each_pair():
    """Mutual trust is one line with two heads."""
    assert ["arrow mutual", "arrow mutual"] == _paths(as_svg(_three()))
    nodes = [Node("1", "a", ("2",), ("3",)), Node("2", "b"), Node("3", "c")]
    assert ["arrow", "arrow unused"] == _paths(as_svg(nodes))


def test_picture_has_a_box_for_each_hsm_even_for_one_that_is_away():
    """A trusted HSM that is not there is drawn broken."""
    boxes = ET.fromstring(as_svg([Node("1", "a", ("2",))])).findall(f"{_SVG}rect")  # noqa: S314 - our own
    assert ["box", "box away"] == [box.get("class") for box in boxes]


def test_picture_holds_whatever_serials_and_names_there_are():
    """Nothing of it is taken for markup, and one or no HSM is a picture too."""
    assert 'a"&lt;b&gt;&amp;' in as_svg([Node('a"<b>&', "no PIC")])
    for nodes in ([], [Node("1", "x")], [Node(str(n), "x", is_ca=True) for n in range(20)]):
        ET.fromstring(as_svg(nodes))  # noqa: S314 - our own


def test_boxes_of_twenty_hsms_do_not_overlap():
    """The circle grows with their number."""
    svg = as_svg([Node(str(number), "x") for number in range(20)])
    boxes = ET.fromstring(svg).findall(f"{_SVG}rect")  # noqa: S314 - our own
    corners = [(float(box.get("x")), float(box.get("y"))) for box in boxes]
    near = [
        (one, two)
        for place, one in enumerate(corners)
        for two in corners[place + 1 :]
        if abs(one[0] - two[0]) < 168 and abs(one[1] - two[1]) < 52
    ]
    assert [] == near
