"""The keys of LLaMA-Factory's and transformers' training recipes, for Sources/YuyanTrain/Recipe.

Run from the root of the repository, with the unpacked source archive of llamafactory 0.9.5 (from PyPI:
pip download --no-deps --no-binary :all: llamafactory==0.9.5) and an installed transformers:
  python Tools/goldens/recipe_keys.py PATH/llamafactory-0.9.5
Writes Tests/Goldens/formats/recipe_keys.txt: one name a line, sorted.
"""
import ast
import importlib.util
import sys
from pathlib import Path

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/formats/recipe_keys.txt"


def names(path, classes=None):
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.ClassDef) or (classes and not node.name.endswith(classes)):
            continue
        for field in node.body:
            if not isinstance(field, ast.AnnAssign):
                continue
            value = field.value
            if isinstance(value, ast.Call) and any(k.arg == "init" for k in value.keywords):
                continue
            yield field.target.id


hparams = Path(sys.argv[1]) / "src/llamafactory/hparams"
found = set()
for name in ["data_args", "model_args", "finetuning_args", "generating_args", "training_args"]:
    found |= set(names(hparams / f"{name}.py"))
transformers = Path(importlib.util.find_spec("transformers").origin).parent
for name in ["training_args", "training_args_seq2seq"]:
    found |= set(names(transformers / f"{name}.py", "TrainingArguments"))
OUT.write_text("".join(f"{name}\n" for name in sorted(found)))
print(len(found), "keys")
