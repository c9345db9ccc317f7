import math
import xml.etree.ElementTree as ET

import pytest

from wenmo.evaluation.charts import HEIGHT, WIDTH, _time_ticks, learning_curve, ticks


def rows(count: int) -> list[dict[str, float]]:
    return [
        {"seconds": 30.0 * (i + 1), "train_bpb": 2.0 + 4 / (i + 1), "valid_bpb": 2.1 + abs(i - 6) / 10}
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [2, 3, 12])
def test_points_lie_inside_from_the_second_on(count: int) -> None:
    root = ET.fromstring(learning_curve(rows(count), "Curve of <红楼梦>"))
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert [line.get("class") for line in lines] == ["line train", "line valid"]
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert len(points) == count
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points[1:])
    assert root.get("aria-label") == "Curve of <红楼梦>"


def test_best_point_is_marked() -> None:
    root = ET.fromstring(learning_curve(rows(12), "c"))
    label = next(e for e in root.iter() if e.get("class") == "label")
    assert label.text == "best held-out 2.100"
    circle = next(e for e in root.iter() if e.get("class") == "best")
    valid = next(e for e in root.iter() if e.get("class") == "line valid")
    assert valid.attrib["points"].split()[6] == f"{circle.get('cx')},{circle.get('cy')}"


def test_missing_numbers_do_not_break_it() -> None:
    data = rows(5)
    data[2]["train_bpb"] = math.nan
    assert "nan" not in learning_curve(data, "c")


def test_equal_values() -> None:
    flat = [{"seconds": float(i), "train_bpb": 2.0, "valid_bpb": 2.0} for i in range(3)]
    assert "nan" not in learning_curve(flat, "c")


def test_ticks_are_round() -> None:
    assert ticks(1.93, 3.1, 5) == [2.0, 2.5, 3.0]
    assert ticks(0.0, 0.011, 5)[:2] == [0.0, 0.005]
    assert _time_ticks(600) == [0, 120, 240, 360, 480, 600]
    assert _time_ticks(0.5) == [0.0, 0.5]
