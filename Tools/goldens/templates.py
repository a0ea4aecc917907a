"""Makes Tests/Goldens/templates: expected outputs of jinja2 in the environment of transformers.

Run with a Python that has transformers, jinja2 and gguf. Arguments:
  cases                      writes cases.json from templates_cases.py
  models GGUF... JINJA...    writes NAME.jinja and models.json from real chat templates
                             (committed: SmolLM2, Qwen2.5 and Qwen3, Apache-2.0, and our own
                             generation.jinja; a file may be given as NAME=PATH)
  compare OUT JINJA...       writes all renders of templates that are not committed to OUT;
                             the tests read it if YUYAN_TEMPLATE_RENDERS names it
"""

import json
import os
import sys
from datetime import datetime
from pathlib import Path

from transformers.utils import chat_template_utils as chat

from templates_cases import CASES, CONVERSATIONS, VARIABLES

HERE = Path(__file__).resolve().parent
GOLDENS = HERE.parent.parent / "Tests" / "Goldens" / "templates"
MOMENT = datetime(2026, 3, 4, 15, 6, 7)


def environment(source):
    template = chat._compile_jinja_template(source)
    template.environment.globals["strftime_now"] = lambda form: MOMENT.strftime(form)
    template.globals["strftime_now"] = template.environment.globals["strftime_now"]
    return template


def render(source, variables):
    try:
        text = environment(source).render(**variables)
        text.encode()
        return {"output": text}
    except RecursionError as error:
        return {"error": "recursion"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:120]}


def cases():
    written = []
    for case in CASES:
        source, variables = case if isinstance(case, tuple) else (case, None)
        given = VARIABLES if variables is None else variables
        entry = {"source": source}
        if variables is not None:
            entry["variables"] = variables
        written.append(entry | render(source, given))
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in written)
    variables = json.dumps(VARIABLES, ensure_ascii=False)
    text = f'{{"variables": {variables},\n"cases": [\n{lines}\n]}}\n'
    (GOLDENS / "cases.json").write_text(text)
    print(len(written), "cases,", sum("error" in entry for entry in written), "refused")


def conversation(source, case):
    """What apply_chat_template(tokenize=False, return_assistant_tokens_mask=True) gives."""
    environment(source)
    messages = [
        {key: value for key, value in message.items() if value is not None}
        for message in case["messages"]
    ]
    try:
        texts, spans = chat.render_jinja_template(
            conversations=[messages],
            tools=case.get("tools"),
            documents=case.get("documents"),
            chat_template=source,
            add_generation_prompt=case.get("add_generation_prompt", False),
            return_assistant_tokens_mask="generation" in source,
            **case.get("variables", {}),
        )
        texts[0].encode()
        found = {"output": texts[0]}
        if spans and spans[0]:
            text = texts[0]
            found["spans"] = [
                [len(text[:start].encode()), len(text[:end].encode())] for start, end in spans[0]
            ]
        return found
    except RecursionError:
        return {"error": "recursion"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:120]}


def source_of(path):
    if path.suffix == ".gguf":
        from gguf import GGUFReader

        field = GGUFReader(path).fields["tokenizer.chat_template"]
        return bytes(field.parts[field.data[0]]).decode()
    return path.read_text()


def model_renders(paths, folder, copies):
    templates = []
    for argument in paths:
        name, _, path = argument.rpartition("=")
        path = Path(path)
        source = source_of(path)
        name = name or path.stem
        if copies:
            (folder / f"{name}.jinja").write_text(source, newline="")
        renders = [conversation(source, case) for case in CONVERSATIONS]
        entry = {"name": name, "renders": renders}
        if not copies:
            entry["source"] = source
        templates.append(entry)
        print(name, len(renders), "renders,", sum("error" in each for each in renders), "refused")
    return templates


def write_models(file, templates):
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in templates)
    conversations = ",\n".join(json.dumps(case, ensure_ascii=False) for case in CONVERSATIONS)
    file.write_text(f'{{"conversations": [\n{conversations}\n],\n"templates": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    os.makedirs(GOLDENS, exist_ok=True)
    match sys.argv[1:]:
        case ["cases"]:
            cases()
        case ["models", *paths]:
            write_models(GOLDENS / "models.json", model_renders(paths, GOLDENS, True))
        case ["compare", out, *paths]:
            write_models(Path(out), model_renders(paths, Path(out).parent, False))
        case _:
            sys.exit(__doc__)
