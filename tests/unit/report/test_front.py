"""The page of a search: what is drawn, what is only listed, and that nothing of it is live."""

from __future__ import annotations

from orchestrator.report.front import Dot, SearchPage, render_search


def page(*dots: Dot, lines: str = "a: 1") -> str:
    return render_search(
        SearchPage(title="t", note="n", measure="top-1", cost_title="cost", dots=dots,
                   heads=("accuracy",), lines=lines, ideal=0.9, grid=9)
    )  # fmt: skip


def dot(name: str, value: float, cost: float = 1.0, **more: bool) -> Dot:
    return Dot(name=name, cost=cost, value=value, cells=(f"{value}",), **more)


def test_points_of_a_part_of_the_samples_are_listed_last_and_not_drawn() -> None:
    text = page(dot("lucky", 0.99, part=True), dot("plain", 0.5), dot("wide", 0.8, 1.2, kept=True))
    assert text.count("<circle") == 2
    assert "<title>lucky</title>" not in text
    rows = text[text.index("Every point") :]
    assert rows.index("wide") < rows.index("plain") < rows.index("lucky")


def test_the_front_is_one_line_from_cheap_to_dear() -> None:
    text = page(dot("b", 0.8, 1.2, front=True), dot("a", 0.5, 1.0, front=True), dot("c", 0.6, 1.3))
    points = text.split('<polyline class="line c0" points="')[1].split('"')[0].split()
    xs, ys = zip(*(map(float, one.split(",")) for one in points), strict=True)
    assert xs[0] < xs[1]
    assert ys[0] > ys[1]


def test_names_of_any_origin_are_tame() -> None:
    text = page(dot("<script>x</script>\x1b[2J", 0.5), lines="<b>\x1b")
    assert "<script>x" not in text
    assert "\x1b" not in text
    assert "<b>\\x1b" not in text


def test_a_search_without_points_is_a_page_all_the_same() -> None:
    assert "<svg" not in page()
    assert page(dot("one", 0.5)).count("<circle") == 1


def test_a_column_that_nobody_measured_is_left_out() -> None:
    def table(*cells: tuple[str, ...]) -> str:
        dots = [Dot(name=f"p{n}", cost=1.0, value=0.5, cells=one) for n, one in enumerate(cells)]
        return render_search(
            SearchPage(title="t", note="n", measure="top-1", cost_title="cost", dots=dots,
                       heads=("accuracy", "FPS", "watts"), lines="", ideal=0.9, grid=9)
        )  # fmt: skip

    text = table(("1", "-", "-"), ("2", "30", "-"))
    assert "FPS" in text
    assert "watts" not in text
    assert text.count("<td") == 4
