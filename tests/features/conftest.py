import json
import shutil

import pytest

from worlds.feature_shop import open_shop
from worlds.projects import make_once, run_captured, write_project
from worlds.sales_project import FILES

shop = pytest.fixture(open_shop)


@pytest.fixture(scope="session")
def built_sales(tmp_path_factory):
    """`project`: the sales, built by `gemel build`. `as_built`: a copy that nobody changes. `build.json`: exit code,
    stdout and stderr."""

    def make(root):
        project = write_project(root / "project", FILES)
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(project)
            (root / "build.json").write_text(json.dumps(run_captured("build")))
        shutil.copytree(project, root / "as_built")

    return make_once(tmp_path_factory, "sales", make)
