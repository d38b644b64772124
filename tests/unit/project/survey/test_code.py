"""Training scripts, read and never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.project.survey.code import (
    Script,
    distance,
    extract,
    nearest_first,
    read_script,
)
from orchestrator.project.survey.factory import find_factories
from orchestrator.project.survey.programs import stated_in, stated_in_scripts, stated_otherwise
from orchestrator.project.survey.weights import Weights

NET = """
class Block(nn.Module):
    def __init__(self, wide):
        super().__init__()
        self.conv = nn.Conv2d(3, wide, 3)


class Net(nn.Module):
    def __init__(self, wide, classes=10):
        super().__init__()
        self.body = Block(wide)
        self.head = nn.Linear(wide, classes)
"""
HEAD = "import os\nimport torch\nfrom torch import nn\n"
WEIGHTS = Weights({"body.conv.weight": (8, 3, 3, 3), "head.weight": (6, 8), "head.bias": (6,)})


def script(tmp_path: Path, text: str, name: str = "train.py") -> Script:
    (tmp_path / name).write_text(text)
    found = read_script(tmp_path / name)
    assert found is not None
    return found


def test_a_script_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    found = script(tmp_path, f"{HEAD}open({str(mark)!r}, 'w').close()\n{NET}\nnet = Net(8)\n")
    factory = find_factories([found], WEIGHTS, {})[0]
    assert (factory.name, dict(factory.kwargs)) == ("Net", {"wide": 8, "classes": 6})
    assert not mark.exists()


def test_what_importing_does_is_told_with_its_line_and_the_network_is_taken_out(
    tmp_path: Path,
) -> None:
    text = f"{HEAD}NAMES = os.listdir('photos')\n{NET}\nnet = Net(8, len(NAMES))\nnet.train()\n"
    factory = find_factories([script(tmp_path, text)], WEIGHTS, {})[0]
    assert [one.line for one in factory.troubles] == [4, 18, 19]
    assert factory.file is not None
    assert factory.file.names == ("Block", "Net")
    made = compile(factory.file.text, "network.py", "exec")
    torch = pytest.importorskip("torch")
    names: dict[str, object] = {}
    exec(made, names)
    net = names["Net"](**factory.kwargs)  # type: ignore[operator]
    assert net.head.weight.shape == (6, 8)
    assert isinstance(net, torch.nn.Module)
    assert "os" not in factory.file.text.split()


def test_a_file_that_only_defines_is_used_as_it_is(tmp_path: Path) -> None:
    factory = find_factories([script(tmp_path, f"from torch import nn\n{NET}")], WEIGHTS, {})[0]
    assert factory.file is None
    assert factory.missing == ("wide",)


def test_a_class_of_other_layers_is_another_network(tmp_path: Path) -> None:
    found = script(tmp_path, f"{HEAD}{NET}")
    assert not find_factories([found], Weights({"stem.weight": (4, 3, 3, 3)}), {})


def test_a_name_that_only_running_tells_stays_open(tmp_path: Path) -> None:
    text = HEAD + "WIDE = int(os.environ['W'])\n" + NET.replace("nn.Linear(wide", "nn.Linear(WIDE")
    made = extract(script(tmp_path, text), "Net", {})
    assert made.open_names == ("WIDE",)
    known = extract(script(tmp_path, text), "Net", {"WIDE": 8})
    assert "WIDE = 8" in known.text
    assert not known.open_names


def test_a_network_of_torchvision_is_written_as_the_script_changes_it(tmp_path: Path) -> None:
    text = """
from torchvision import models, datasets
from torch import nn

def main():
    classes = datasets.ImageFolder("photos").classes
    net = models.mobilenet_v2(weights="DEFAULT")
    wide = net.last_channel
    net.classifier[1] = nn.Linear(wide, len(classes))
    for one in net.parameters():
        one.requires_grad = False

if __name__ == "__main__":
    main()
"""
    weights = Weights({"features.0.0.weight": (32, 3, 3, 3), "classifier.1.weight": (6, 1280)})
    factory = find_factories([script(tmp_path, text)], weights, {})[0]
    assert factory.library == "torchvision mobilenet_v2"
    assert factory.packages == ("torchvision",)
    assert factory.file is not None
    assert factory.file.text.endswith(
        "def build():\n    net = models.mobilenet_v2(weights=None)\n    wide = net.last_channel\n"
        "    net.classifier[1] = nn.Linear(wide, 6)\n    return net\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            """
MEAN = [0.5, 0.5, 0.5]
val = T.Compose([T.Resize(192), T.CenterCrop(160), T.ToTensor(), T.Normalize(MEAN, [0.25] * 3)])
""",
            ((160, 160), "shorter_then_crop", 192, (127.5,) * 3, (63.75,) * 3, None),
        ),
        (
            "tf = T.Compose([T.Resize((64, 96)), T.ToTensor()])",
            ((64, 96), "stretch", None, (0.0,), (255.0,), None),
        ),
        (
            "x = cv2.resize(cv2.imread(f), (96, 64)) / 255.0",
            ((64, 96), "stretch", None, (0.0,), (255.0,), "bgr"),
        ),
        (
            "x = np.asarray(im.convert('L').resize((28, 28))) / 127.5 - 1",
            ((28, 28), "stretch", None, (127.5,), (127.5,), "gray"),
        ),
        (
            "x = A.Compose([A.LongestMaxSize(320), A.Normalize(mean=(0, 0, 0), std=(1, 1, 1))])",
            ((320, 320), "letterbox", None, (0.0,) * 3, (255.0,) * 3, None),
        ),
        (
            "def prepare(f):\n    x = cv2.imread(f)\n    x -= 127.5\n    x *= 0.0078125",
            (None, None, None, (127.5,), (128.0,), "bgr"),
        ),
        (
            "def prepare(f):\n    x = cv2.imread(f).astype('float32')\n    x /= 255.0",
            (None, None, None, (0.0,), (255.0,), "bgr"),
        ),
        (
            """
for f in files:
    x = cv2.cvtColor(cv2.imread(f), cv2.COLOR_BGR2RGB)
    mean = np.array([127, 127, 127])
    x = (x - mean) / 128
""",
            (None, None, None, (127.0,) * 3, (128.0,), None),
        ),
        (
            "x = (cv2.imread(f) - np.array([127, 127, 127])) / 128",
            (None, None, None, (127.0,) * 3, (128.0,), "bgr"),
        ),
        (
            "x = cv2.resize(cv2.imread(f), (0, 0), fx=0.5, fy=0.5)",
            (None, None, None, None, None, "bgr"),
        ),
        (
            "tf = resizeNormalize((100, 32))\ndef prepare(x):\n    x.sub_(0.5).div_(0.5)",
            ((32, 100), "stretch", None, (127.5,), (127.5,), None),
        ),
        (
            "p.add_argument('--imgH', type=int, default=32)\np.add_argument('--imgW', default=100)",
            ((32, 100), None, None, None, None, None),
        ),
        ("input_shape = [416, 416]", ((416, 416), None, None, None, None, None)),
        (
            "p.add_argument('--img-size', type=int, default=320)",
            ((320, 320), None, None, None, None, None),
        ),
        ("p.add_argument('--img_size', default=[94, 24])", (None, None, None, None, None, None)),
        ("x = np.asarray(im) * 0.00392156862", (None, None, None, (0.0,), (255.0,), None)),
        ("learning = rate * 0.01\nsteps -= 3\nsteps /= 7", (None, None, None, None, None, None)),
        ("print('nothing of pictures')", (None, None, None, None, None, None)),
    ],
)
def test_transforms_are_read(tmp_path: Path, text: str, expected: tuple[object, ...]) -> None:
    head = "import cv2\nimport albumentations as A\nimport torchvision.transforms as T\n"
    found = stated_in(script(tmp_path, head + text))
    told = (found.size, found.resize, found.resize_to, found.mean, found.std, found.color)
    assert told == expected


def test_colours_go_with_the_scaling_that_a_script_states(tmp_path: Path) -> None:
    draws = tmp_path / "draws.py"
    draws.write_text("import cv2\nshown = cv2.rectangle(cv2.imread(f), a, b)")
    first = tmp_path / "first.py"
    first.write_text("import cv2\nx = (cv2.cvtColor(cv2.imread(f), cv2.COLOR_BGR2RGB) - 127) / 128")
    second = tmp_path / "second.py"
    second.write_text("import cv2\nx = cv2.resize(cv2.imread(f), (320, 240)) / 255")
    read = [one for file in (draws, first, second) if (one := read_script(file)) is not None]
    found = stated_in_scripts(read)
    assert (found.mean, found.std, found.color) == ((127.0,), (128.0,), None)
    assert found.size == (240, 320)


def test_what_uses_the_network_and_loads_its_weights_tells_how_it_is_fed(tmp_path: Path) -> None:
    scale = (
        "import torchvision.transforms as T\ntf = T.Compose([T.ToTensor(), T.Normalize({}, {})])"
    )
    files = {
        "lib/models/net.py": "from torch import nn\nclass Net(nn.Module): pass\n",
        "another/train.py": scale.format([0.5], [0.5]),
        "lib/data/city.py": "import lib.data.own as T\nt = T.ToTensor(mean=(0.4,), std=(0.2,))",
        "tools/demo.py": "from lib.models import make\nimport lib.data.own as T\n"
        "t = T.ToTensor(\n    mean=(0.3, 0.4, 0.5), # rgb\n    std=(0.2, 0.2, 0.2))\n"
        "make().load_state_dict(x)",
    }
    read = []
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        read.append(read_script(tmp_path / name))
    scripts = [one for one in read if one is not None]
    order = [one.path.name for one in nearest_first(scripts, scripts[0])]
    assert order == ["net.py", "demo.py", "train.py", "city.py"]
    taken = stated_in_scripts(scripts, scripts[0])
    assert (taken.mean, taken.std) == ((76.5, 102.0, 127.5), (51.0, 51.0, 51.0))
    assert stated_otherwise(scripts, taken) == ["train.py:2", "city.py:2"]
    assert nearest_first(scripts, None) == scripts


def project(folder: Path, files: dict[str, str]) -> list[Script]:
    read = []
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        read.append(read_script(folder / name))
    return [one for one in read if one is not None]


LOADS = """import torchvision.transforms as T
class Data:
    {0}
    def __init__(self, mean=None, std=None):
        self.std = (0.5, 0.25, 0.5)
        self.t = T.Compose([T.ToTensor(), T.Normalize({1}, {2})])
"""


@pytest.mark.parametrize(
    ("loads", "files"),
    [
        (LOADS.format("", "mean", "std"), {"t.py": "d = Data([0.2, 0.4, 0.6], std=[0.5] * 3)"}),
        (
            "from conf import own\nimport numpy as np\n"
            + LOADS.format("", "np.array(own.MEAN)", "own.STD"),
            {"conf/own.py": "MEAN = (0.2, 0.4, 0.6)\nSTD = (0.5, 0.5, 0.5)"},
        ),
        (
            LOADS.format("", "cfg['mean']", "cfg['std']"),
            {"cfg.py": "net = {'mean': [0.2, 0.4, 0.6], 'std': [0.5, 0.5, 0.5]}"},
        ),
        (
            LOADS.format("", "mean", "std"),
            {"a.py": "import conf\nData(conf.MEAN, conf.STD)",
             "conf.py": "MEAN = [0.2, 0.4, 0.6]\nSTD = [0.5, 0.5, 0.5]"},
        ),
    ],
)  # fmt: skip
def test_means_are_followed_to_where_they_stand(
    loads: str, files: dict[str, str], tmp_path: Path
) -> None:
    scripts = project(tmp_path, {"data.py": loads, **files})
    taken = stated_in_scripts(scripts)
    assert (taken.mean, taken.std) == ((51.0, 102.0, 153.0), (127.5, 127.5, 127.5))
    assert taken.hidden is None
    assert stated_in(scripts[0]).scaled is False


def test_an_attributes_numbers_are_those_that_it_is_given(tmp_path: Path) -> None:
    (one,) = project(tmp_path, {"data.py": LOADS.format("", "self.std", "self.std")})
    assert stated_in(one, [one]).mean == (127.5, 63.75, 127.5)


@pytest.mark.parametrize(
    "files",
    [
        {"other.py": "x = img / 255.0"},
        {"a.py": "Data([0.2], [0.5])", "b.py": "Data([0.4], [0.5])", "c.py": "y = img / 255.0"},
    ],
)
def test_no_scaling_is_made_up_where_the_numbers_are_hidden(
    files: dict[str, str], tmp_path: Path
) -> None:
    scripts = project(tmp_path, {"data.py": LOADS.format("", "mean", "std"), **files})
    taken = stated_in_scripts(scripts)
    assert not taken.scaled
    assert taken.hidden == "data.py:6"


def test_no_scaling_is_made_up_beside_one_of_somebodys_own(tmp_path: Path) -> None:
    text = "from mine import *\nt = Compose([Resize(96), SubtractMeans(mean), ToTensor()])\n"
    (one,) = project(tmp_path, {"data.py": text})
    taken = stated_in_scripts([one])
    assert (taken.scaled, taken.hidden) == (False, "data.py:2")


def test_what_lies_in_the_same_package_is_not_what_a_network_stands_on(tmp_path: Path) -> None:
    scripts = project(
        tmp_path,
        {"lib/net.py": "from lib.ssd import SSD\n", "lib/ssd.py": "", "lib/other.py": ""},
    )
    assert [distance(one, scripts[0]) for one in scripts] == [0, 2, 3]


def test_numbers_of_another_program_stand_in_for_hidden_ones(tmp_path: Path) -> None:
    scripts = project(
        tmp_path,
        {"data.py": LOADS.format("", "mean", "std"), "demo.py": "x = (img - 127.5) / 128.0"},
    )
    assert stated_in_scripts(scripts).mean == (127.5,)


def test_a_mean_without_a_deviation_is_one(tmp_path: Path) -> None:
    text = "import cv2\nimg = cv2.imread(f)\nimg -= (104, 117, 123)\norder = s.argsort()[::-1]\n"
    (one,) = project(tmp_path, {"detect.py": text})
    found = stated_in(one)
    assert (found.mean, found.std, found.color) == ((104.0, 117.0, 123.0), (1.0,), "bgr")
    assert found.where == ("detect.py:3: img -= (104, 117, 123)",)


def test_a_scaling_of_each_channel_is_one_of_the_picture(tmp_path: Path) -> None:
    lines = [f"t[:, :, {at}] = (x[:, :, {at}] - 0.{4 + at}) / 0.2{at}" for at in (0, 1, 2)]
    whole, part = project(tmp_path, {"whole.py": "\n".join(lines), "part.py": "\n".join(lines[:2])})
    found = stated_in(whole)
    assert (found.mean, found.std) == ((102.0, 127.5, 153.0), (51.0, 53.55, 56.1))
    assert found.where[-1].startswith("whole.py:3:")
    assert stated_in(part).scaled is False


@pytest.mark.parametrize(
    ("text", "size", "sides"),
    [
        ("x = cv2.resize(img, (64, 32))", (32, 64), None),
        ("d = cv2.resize(pred_disps[0], (64, 32))", None, None),
        ("d = heatmaps.resize((64, 32))", None, None),
        ("p.add_argument('--img_size', default=[94, 24])", None, (94, 24)),
        ("p.add_argument('--img_size', default=[24, 24])", (24, 24), None),
    ],
)
def test_a_size_is_that_of_the_input_and_of_known_order(
    text: str, size: tuple[int, int] | None, sides: tuple[int, int] | None, tmp_path: Path
) -> None:
    (one,) = project(tmp_path, {"run.py": f"import cv2\n{text}\n"})
    found = stated_in_scripts([one], one)
    assert (found.size, found.sides) == (size, sides)


def test_a_transform_of_ones_own_that_rescales_gives_the_size(tmp_path: Path) -> None:
    text = "from torchvision import transforms\nt = transforms.Compose([RescaleT(320), ToLab(0)])\n"
    (one,) = project(tmp_path, {"run.py": text})
    assert (stated_in(one).size, stated_in(one).scaled) == ((320, 320), False)


def test_what_another_network_is_fed_comes_after_what_this_one_stands_on(tmp_path: Path) -> None:
    scripts = project(
        tmp_path,
        {
            "lib/net.py": "from .config import small\n",
            "lib/config/small.py": "image_size = 300\n",
            "prune.py": "import torchvision.transforms as T\nT.Compose([T.Resize((224, 224))])\n",
        },
    )
    assert stated_in_scripts(scripts, scripts[0]).size == (300, 300)


NETWORK = "import torch\nclass Net(torch.nn.Module): pass\nNet()(torch.randn(2, 3, 64, 64))\n"


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({}, (64, 64)),
        ({"draw.py": "import cv2\nx = cv2.resize(x, (50, 40))"}, (40, 50)),
        ({"draw.py": "import cv2\nx = cv2.resize(x, (50, 40))",
          "onnx.py": "import torch\nx = torch.zeros((1, 3, 240, 320))"}, (240, 320)),
        ({"onnx.py": "from torchsummary import summary\nsummary(n, (3, 96, 80))"}, (96, 80)),
        ({"onnx.py": "import torch\nx = torch.zeros(1, 3, 240, 320)",
          "t.py": "import torchvision.transforms as T\nT.Compose([T.Resize((32, 48))])"}, (32, 48)),
        ({"onnx.py": "import torch\nx = torch.zeros(1, 64, 240, 320)\ny = torch.ones(3, 3, 3)"},
         (64, 64)),
    ],
)  # fmt: skip
def test_the_size_is_the_one_that_is_told_best(
    files: dict[str, str], size: tuple[int, int], tmp_path: Path
) -> None:
    assert stated_in_scripts(project(tmp_path, {"net.py": NETWORK, **files})).size == size


def test_programs_that_feed_a_network_as_in_use_go_before_its_training(tmp_path: Path) -> None:
    own, *others = project(
        tmp_path,
        {
            "lib/net.py": "class Net: pass",
            "train.py": "from lib.net import Net",
            "evaluate.py": "from lib.net import Net",
            "demo.py": "from lib.net import Net",
            "to_onnx.py": "from lib.net import Net",
        },
    )
    names = [one.path.name for one in nearest_first([*others, own], own)]
    assert names == ["net.py", "to_onnx.py", "demo.py", "evaluate.py", "train.py"]


def test_the_transforms_of_validation_go_first(tmp_path: Path) -> None:
    text = """
import torchvision.transforms as T
tf = {"train": T.Compose([T.RandomResizedCrop(128), T.ToTensor()]),
      "val": T.Compose([T.Resize(160), T.CenterCrop(144), T.ToTensor()])}
"""
    found = stated_in(script(tmp_path, text))
    assert (found.size, found.resize_to) == ((144, 144), 160)


FORMS = {
    "another-name": "class Net(nn.Module):\n    def __init__(me):\n        super().__init__()\n"
    "        me.body = nn.Conv2d(3, 8, 3); me.head = nn.Linear(8, 6)\n",
    "two-at-once": "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.body, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 6)\n",
    "computed": "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        for name in ('bo' + 'dy', 'he' + 'ad'):\n"
    "            setattr(self, name, nn.Conv2d(3, 8, 3))\n",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_layers_are_found_however_they_are_given_their_names(tmp_path: Path, text: str) -> None:
    found = find_factories([script(tmp_path, f"from torch import nn\n{text}")], WEIGHTS, {})
    assert [one.name for one in found] == ["Net"]


def test_a_class_that_shows_its_names_goes_before_one_that_computes_them(tmp_path: Path) -> None:
    text = FORMS["computed"].replace("Net", "Other") + "\n\n" + FORMS["two-at-once"]
    found = find_factories([script(tmp_path, f"from torch import nn\n{text}")], WEIGHTS, {})
    assert [one.name for one in found] == ["Net", "Other"]


def test_layers_of_a_base_class_in_another_file_count(tmp_path: Path) -> None:
    base = "from torch import nn\n\n\nclass Base(nn.Module):\n    def __init__(self):\n"
    base += "        super().__init__()\n        self.body = nn.Conv2d(3, 8, 3)\n"
    own = "from torch import nn\nfrom blocks import Base\n\n\nclass Net(Base):\n"
    own += (
        "    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(8, 6)\n"
    )
    scripts = [script(tmp_path, own, "net.py"), script(tmp_path, base, "blocks.py")]
    assert [one.name for one in find_factories(scripts, WEIGHTS, {})] == ["Net"]


@pytest.mark.parametrize(
    "line",
    [
        "Out = namedtuple('Out', 'mask kind')",
        "Norm = partial(nn.BatchNorm2d, eps=1e-3)",
        "T = typing.TypeVar('T')",
        "MEAN = np.array([0.485, 0.456, 0.406])",
        "WIDE = int(8 * math.sqrt(4))",
    ],
)
def test_what_only_names_types_and_numbers_does_nothing_when_it_is_imported(
    line: str, tmp_path: Path
) -> None:
    head = (
        "import math, typing\nfrom collections import namedtuple\nfrom functools import partial\n"
        "import numpy as np\nfrom torch import nn\n"
    )
    name = line.partition(" ")[0]
    found = script(tmp_path, f"{head}{line}\n{NET}\n    def forward(self, x): return {name}(x)\n")
    assert found.troubles == []
    assert extract(found, "Net", {}).open_names == ()


def test_what_a_network_computes_says_nothing_of_how_pictures_are_prepared(tmp_path: Path) -> None:
    forward = "\n    def forward(self, x):\n        return self.head(self.body(x / 255.0))\n"
    found = stated_in(script(tmp_path, f"{HEAD}{NET}{forward}"))
    assert (found.scaled, found.where) == (False, ())
    beside = "\ndef load(file):\n    return read(file).resize((96, 64)) / 255.0\n"
    found = stated_in(script(tmp_path, f"{HEAD}{NET}{forward}{beside}"))
    assert (found.std, found.size) == ((255.0,), (64, 96))


@pytest.mark.parametrize(
    "head",
    [
        (
            "FILE = Path(__file__).resolve()\nROOT = FILE.parents[1]\n"
            "if str(ROOT) not in sys.path:\n    sys.path.append(str(ROOT))\n"
            "ROOT = Path(os.path.relpath(ROOT, Path.cwd()))\n"
        ),
        "sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))\n",
        "torch.manual_seed(0)\nwarnings.filterwarnings('ignore')\nnp.random.seed(1)\n",
        "if torch.cuda.is_available():\n    device = 'cuda'\nelse:\n    device = 'cpu'\n",
    ],
)
def test_where_modules_are_looked_for_and_seeds_are_no_work(head: str, tmp_path: Path) -> None:
    imports = "import os, sys, torch, warnings\nimport numpy as np\nfrom pathlib import Path\n"
    found = script(tmp_path, f"{imports}from torch import nn\n{head}{NET}")
    assert found.troubles == []


@pytest.mark.parametrize(
    "line",
    [
        "sys.path.append(download())",
        "if torch.cuda.is_available():\n    train()",
        "if len(sys.argv) > 1:\n    x = 1",
        "data = load().resolve()",
    ],
)
def test_what_works_when_it_is_imported_is_told_all_the_same(line: str, tmp_path: Path) -> None:
    found = script(tmp_path, f"import sys, torch\nfrom torch import nn\n{line}\n{NET}")
    assert len(found.troubles) == 1
