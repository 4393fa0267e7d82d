"""Recipes: strict, and every message says where and what."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import RecipeError
from quantkit.recipe import QuantizeSettings, Recipe, load_recipe, recipe_schema
from quantkit.recipe.load import dump_section, load_section, parse_overrides
from quantkit.recipe.search_settings import SearchSettings
from quantkit.recipe.strict_yaml import parse_yaml
from quantkit.shipped import recipes_folder
from quantkit.tables import TASKS

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(recipes_folder().glob("*.yaml"))
SHORT = "name: a\ncheckpoint: org/model\nquantize:\n  mode: dynamic\n"


def message(work: Callable[[], object]) -> str:
    """Return what a RecipeError says, or nothing."""
    try:
        work()
    except RecipeError as error:
        return str(error)
    return ""


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def test_every_family_has_a_recipe_for_every_mode() -> None:
    """Six families in three modes, one for each task but question answering, the quickstart, and the searches."""
    families = ("bert-base", "bert-large", "decibert-large", "distilbert", "minilm", "roberta-base")
    modes = ("static", "dynamic", "auto")
    expected = {f"{family}-{mode}" for family in families for mode in modes} | {
        "quickstart",
        "quickstart-search",
        "minilm-search",
        "text-classification-search",
        *(set(TASKS) - {"squad"}),
    }
    assert {path.stem for path in SHIPPED} == expected


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path.stem.endswith("-auto")], ids=lambda path: path.stem
)
def test_searches_do_not_see_the_gates_questions(path: Path) -> None:
    """What a shipped recipe searches on is another dataset than the one its gate judges by."""
    recipe = load_recipe(path)
    assert recipe.quantize.mode == "auto"
    assert recipe.evaluate.data not in (recipe.quantize.calib, recipe.quantize.auto.select)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipe_loads(path: Path) -> None:
    """Every recipe loads, has the name of its file, fits the schema and gives reasons for float layers."""
    recipe = load_recipe(path)
    assert path.stem == recipe.name
    jsonschema.validate(yaml.safe_load(path.read_text()), recipe_schema())
    assert all(kept.because for kept in recipe.quantize.keep_float)
    assert path.read_text().splitlines()[0] == "# yaml-language-server: $schema=../docs/recipe.schema.json"


def test_bert_large_is_held_to_mlperf() -> None:
    """The BERT-Large recipes use MLPerf's reference F1."""
    assert load_recipe("bert-large-static").gate.reference_f1 == 90.874


def test_committed_schema_is_current() -> None:
    """docs/recipe.schema.json is what `quantkit schema` prints."""
    assert recipe_schema() == json.loads((ROOT / "docs" / "recipe.schema.json").read_text())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            SHORT + "  calib_metod: minmax\n",
            r":5: quantize.calib_metod: unknown key; did you mean calib_method\?",
        ),
        (SHORT + "per_channel: true\n", r":5: per_channel: unknown key; did you mean quantize.per_channel\?"),
        (SHORT + "zzz: 1\n", r":5: zzz: unknown key; choose one of bench, checkpoint, distill, evaluate"),
        (
            SHORT + "  calib_questions: 1.5\n",
            r":5: quantize.calib_questions: expected a whole number, got 1.5",
        ),
        (
            SHORT + "  calib_questions: true\n",
            r":5: quantize.calib_questions: expected a whole number, got true",
        ),
        (SHORT + "  per_channel: 1\n", r":5: quantize.per_channel: expected true or false, got 1"),
        (SHORT + "  calib_method: minmx\n", r"expected 'minmax', .*, got 'minmx'; did you mean minmax\?"),
        (SHORT + "  percentile: 20\n", r":5: quantize.percentile: should be greater than 50, got 20"),
        (SHORT + "  percentile: .nan\n", r":5: quantize.percentile: expected a number, got '.nan'"),
        (SHORT + "  keep_float: x\n", r":5: quantize.keep_float: expected a list, got 'x'"),
        (
            SHORT + "  keep_float: [{pattren: x}]\n",
            r"keep_float.0.pattren: unknown key; did you mean pattern\?",
        ),
        (SHORT + "gate: [1]\n", r":5: gate: expected a section with keys, got \[1\]"),
        (
            SHORT + "publish: {name: a, version: 1.0}\n",
            r"publish.version: expected text, got 1.0; write it in quotes",
        ),
        (SHORT + "  mode: static\n", r":5: the key quantize.mode is given twice; keep one"),
        ("name: a\nquantize: {mode: dynamic}\n", r"checkpoint: is missing; add it"),
        ("name: a\ncheckpoint: b\nquantize:\n  mode: static\n", r":3: quantize.calib: is missing"),
        ("", "is not a recipe"),
        ("- 1\n", "is not a recipe"),
        ("a: [1\n", "is not plain YAML"),
        ("a: !!python/object/apply:os.system [x]\n", "is not plain YAML"),
        ("a: &x [*x]\n", "leads back to itself"),
    ],
)
def test_mistake_is_named_with_its_line(written, text: str, line: str) -> None:
    """A mistake is one line: the file, the line, the key, what was expected."""
    with pytest.raises(RecipeError, match=line) as raised:
        load_recipe(written(text))
    assert len(str(raised.value).splitlines()) == 1


def test_words_and_numbers_are_those_of_yaml_1_2(written) -> None:
    """`yes` is a word and `1e-4` a number, as the people who write recipes expect."""
    recipe = load_recipe(written(SHORT + "  reduce_range: yes\nexport: {atol: 1e-4, external_data: no}\n"))
    assert (
        recipe.quantize.reduce_range,
        recipe.export.atol,
        recipe.export.external_data,
    ) == ("yes", 1e-4, "no")


def test_overrides_win_and_are_named(written) -> None:
    """`--set` wins over the file; a mistake in it is named as such."""
    path = written(SHORT)
    overrides = parse_overrides(("quantize.seed=7", "bench.repeats=3", "gate.reference_f1=90.874"))
    recipe = load_recipe(path, overrides)
    assert recipe.bench is not None
    assert (recipe.quantize.seed, recipe.bench.repeats, recipe.gate.reference_f1) == (7, 3, 90.874)
    with pytest.raises(RecipeError, match=r"^--set quantize.sead: unknown key; did you mean seed\?"):
        load_recipe(path, parse_overrides(("quantize.sead=7",)))
    with pytest.raises(RecipeError, match=r"expected section\.key=value"):
        parse_overrides(("quantize.seed",))


def test_checkpoint_is_relative_to_the_recipe(written, tmp_path: Path) -> None:
    """A folder beside the recipe is found from anywhere; a Hugging Face id stays one."""
    (tmp_path / "mine").mkdir()
    assert str(tmp_path / "mine") == load_recipe(written(SHORT.replace("org/model", "mine"))).checkpoint
    assert load_recipe(written(SHORT)).checkpoint == "org/model"


def test_quickstart_is_a_checkpoint_everywhere(
    written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`quickstart` means the model that ships, in a recipe and on the command line, from any folder."""
    monkeypatch.setattr("quantkit.recipe.places.quickstart_model", lambda: tmp_path / "shipped")
    path = written(SHORT.replace("org/model", "quickstart"))
    assert str(tmp_path / "shipped") == load_recipe(path).checkpoint
    assert str(tmp_path / "shipped") == load_recipe(written(SHORT), {"checkpoint": "quickstart"}).checkpoint


@pytest.mark.parametrize("name", ["x" * 5000, "a\\0b", "~"])
def test_impossible_paths_are_only_names(written, name: str) -> None:
    """A checkpoint no file system could hold is not looked for; the export says what is wrong with it."""
    assert load_recipe(written(SHORT), {"checkpoint": name, "evaluate.data": name}).checkpoint == name


def test_data_beside_the_recipe_is_found(written, tmp_path: Path) -> None:
    """A data file beside the recipe is found from anywhere; a known name stays one."""
    (tmp_path / "mine.json").write_text("{}")
    recipe = load_recipe(written(SHORT + "evaluate: {data: mine.json}\n"))
    assert str(tmp_path / "mine.json") == recipe.evaluate.data
    assert load_recipe(written(SHORT)).evaluate.data == "squad"


def test_unknown_recipe_is_suggested() -> None:
    """A misspelt name of a shipped recipe gets the right one."""
    with pytest.raises(RecipeError, match=r"did you mean minilm-static\?"):
        load_recipe("minilm-statik")


def test_section_survives_saving(tmp_path: Path) -> None:
    """What --save-config writes, --config reads back the same; a whole recipe serves as well."""
    settings = QuantizeSettings(mode="dynamic", reduce_range="yes", seed=3)
    path = tmp_path / "saved.yaml"
    path.write_text(dump_section(settings))
    assert settings == QuantizeSettings.model_validate(load_section(path, "quantize", QuantizeSettings))
    path.write_text(SHORT)
    assert load_section(path, "quantize", QuantizeSettings) == {"mode": "dynamic"}


@pytest.mark.parametrize("value", ["fast", "-1x", "nan", "1e9x", "0x", "0", "0.00", "1,5x", "1.5X", ""])
def test_text_of_the_wrong_form_is_told_by_an_example(written, value: str) -> None:
    """A form is said as people read it, not as a regular expression; a throughput of 0 asks for nothing."""
    said = message(lambda: load_recipe(written(SHORT), {"search": {"min_throughput": value}}))
    assert said == f"--set search.min_throughput: expected something like 1.5x, got {value!r}"


@pytest.mark.parametrize("value", ["2", "1.5x", "0.5x", "01.0x", "10x"])
def test_throughputs_as_they_are_said(value: str) -> None:
    """A factor above 0, with the x or without."""
    assert SearchSettings(min_throughput=value).throughput == float(value.removesuffix("x"))


@given(st.text(max_size=60))
def test_no_text_crashes_the_parser(text: str) -> None:
    """Whatever a file holds is a document or a RecipeError."""
    assert len(message(lambda: parse_yaml(text, "text")).splitlines()) <= 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from([*Recipe.model_fields, "x"]), JSON, max_size=5))
def test_no_value_crashes_the_loader(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, object]
) -> None:
    """Any plain data is a recipe or a RecipeError of one line."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(json.dumps(content))
    assert len(message(lambda: load_recipe(path)).splitlines()) <= 1
