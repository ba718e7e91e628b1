"""docs/leak.md: the leak is there, what is served is what is trained on, and the page has its script's numbers."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = DOCS / "leak" / "leak.py"
leak = SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def summer(tmp_path_factory):
    """Trained on June, tested on July."""
    out = tmp_path_factory.mktemp("leak") / "summer.json"
    days = ["--start", "2013-06-01", "--split", "2013-07-01", "--end", "2013-08-01"]
    command = [sys.executable, str(SCRIPT), *days, "--moments", "2", "--out", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(out.read_text())


def test_with_the_day_itself_a_model_looks_good_and_is_bad_when_it_is_served(summer):
    same_day, day_before = (summer["models"][name] for name in (leak.SAME_DAY, leak.DAY_BEFORE))
    for score, fall in (("auc", 0.1), ("average_precision", 0.1)):
        assert same_day["offline"][score] - same_day["served"][score] > fall
        assert same_day["offline"][score] > day_before["offline"][score]


def test_a_model_of_the_generated_training_set_is_served_what_it_was_trained_on(summer):
    gemel = summer["models"][leak.GEMEL]
    assert gemel["offline"] == gemel["served"]
    assert gemel["served"]["auc"] > summer["models"][leak.SAME_DAY]["served"]["auc"]
    online = summer["online"]
    assert online["flights"] > 50
    assert online["values"] == online["flights"] * len(leak.FEATURES)
    assert online["different"] == 0
    assert online["online_store"] == online["training_set"]


def test_each_value_that_differs_is_counted():
    trained = pandas.DataFrame({"a": [1.0, 2.0, None, None], "b": [0.1, 0.2, 0.3, 0.4]})
    online = pandas.DataFrame({"a": [1.0, None, None, 0.0], "b": [0.1, 0.2, 0.3, 0.4000000001]})
    assert leak.different(trained, trained) == 0
    assert leak.different(online, trained) == 3


def test_the_page_and_its_plot_show_what_the_script_found():
    page, plot = (DOCS / "leak.md").read_text(), (DOCS / "leak" / "leak.svg").read_text()
    results = json.loads((DOCS / "leak" / "leak.json").read_text())
    assert leak.table(results) in page
    scores = {f"{score:.3f}" for ways in results["models"].values() for way in ways.values() for score in way.values()}
    assert len(scores) >= 8
    assert scores <= set(re.findall(r">(0\.\d{3})<", plot))
    assert set(re.findall(r"\b0\.\d{3}\b", page)) == scores | {f"{results['test']['late']:.3f}"}
    text = re.sub(r"\s+", " ", page)
    train, test, online = results["train"], results["test"], results["online"]
    assert f"the {train['flights']:,} flights that left" in text
    assert f"tested on the {test['flights']:,} from" in text
    assert f"In {online['hours']} hours of the test" in text
    assert f"Of {online['flights']:,} flights' {online['values']:,} values, {online['different']} differ" in text


def test_the_figures_are_of_the_features_that_the_script_names_now():
    results = json.loads((DOCS / "leak" / "leak.json").read_text())
    assert results["features"] == leak.FEATURES
