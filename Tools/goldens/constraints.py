"""Writes Tests/Goldens/constraints: schemas with documents, and regular expressions with texts.

    python Tools/goldens/constraints.py

`schemas.json` holds random and hand-written schemas. `canonical` documents
are valid by jsonschema and written as the constraint writes them (keys in the order of the schema), so
they must be accepted. `others` are changed documents with jsonschema's verdict: what it finds
invalid must be refused. `regexes.json` holds random expressions and `re.fullmatch`'s verdicts.
"""

import json
import random
import re
from pathlib import Path

import jsonschema

FOLDER = Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "constraints"
WORDS = ["a", "name", "größe", "x y", 'q"q', "back\\slash", "line\nfeed", "雨", "😀", "id", "tags"]


class Schemas:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def string(self):
        pick = self.random.random()
        if pick < 0.4:
            return {"type": "string"}
        if pick < 0.6:
            low = self.random.randint(0, 4)
            schema = {"type": "string"}
            if self.random.random() < 0.7:
                schema["minLength"] = low
            if self.random.random() < 0.7:
                schema["maxLength"] = low + self.random.randint(0, 6)
            return schema
        if pick < 0.8:
            patterns = ["^[a-z]{2,5}$", "^\\d+$", "ab", "^x", "y$", '^[^"]*$', "^(a|bc)+$"]
            return {"type": "string", "pattern": self.random.choice(patterns)}
        return {"type": "string", "format": self.random.choice(["date", "time", "date-time", "uuid"])}

    def number(self):
        schema = {"type": self.random.choice(["integer", "number"])}
        scale = self.random.choice([1, 10, 1000, 10**6])
        a = self.random.randint(-scale, scale)
        b = a + self.random.randint(0, scale)
        if schema["type"] == "number" and self.random.random() < 0.5:
            a, b = a / 8, b / 8 + 0.5
        if self.random.random() < 0.6:
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = a
        if self.random.random() < 0.6:
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = b + 2
        if schema["type"] == "integer" and self.random.random() < 0.3:
            schema["multipleOf"] = self.random.choice([1, 2, 3, 7])
        return schema

    def schema(self, depth):
        pick = self.random.random()
        if depth == 0 or pick < 0.45:
            leaf = self.random.random()
            if leaf < 0.35:
                return self.string()
            if leaf < 0.7:
                return self.number()
            if leaf < 0.8:
                return {"type": self.random.choice(["boolean", "null"])}
            if leaf < 0.9:
                values = [1, -2.5, "a", 'q"', None, True, [1, "x"], {"k": 1}, "雨"]
                return {"enum": self.random.sample(values, 3)}
            return {"type": ["string", "null"]}
        if pick < 0.6:
            schema = {"type": "array", "items": self.schema(depth - 1)}
            low = self.random.randint(0, 2)
            if self.random.random() < 0.5:
                schema["minItems"] = low
            if self.random.random() < 0.5:
                schema["maxItems"] = low + self.random.randint(0, 2)
            if self.random.random() < 0.3:
                schema["prefixItems"] = [self.schema(0) for _ in range(2)]
            return schema
        if pick < 0.7:
            return {"anyOf": [self.schema(depth - 1) for _ in range(2)]}
        if pick < 0.75:
            return {"allOf": [self.number() | {"type": "integer"}, {"minimum": -5}]}
        names = self.random.sample(WORDS, self.random.randint(0, 4))
        schema = {
            "type": "object",
            "properties": {name: self.schema(depth - 1) for name in names},
            "required": [name for name in names if self.random.random() < 0.6],
        }
        if self.random.random() < 0.7:
            schema["additionalProperties"] = self.random.choice([False, False, True, {"type": "integer"}])
        return schema

    def document(self, schema, depth=4):
        """A random value that probably satisfies the schema, keys in its order."""
        r = self.random
        if schema is True or schema == {}:
            return r.choice([1, "x", None, [1], {"k": "v"}])
        if "$ref" in schema:
            target = self.root
            for part in schema["$ref"].split("/")[1:]:
                target = target[part]
            return self.document(target, depth - 1)
        if "enum" in schema:
            return r.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self.document(r.choice(schema[key]), depth)
        if "allOf" in schema:
            merged = {}
            for part in schema["allOf"]:
                merged |= part
            return self.document(merged, depth)
        kind = schema.get("type", "object")
        kind = r.choice(kind) if isinstance(kind, list) else kind
        if kind == "null":
            return None
        if kind == "boolean":
            return r.random() < 0.5
        if kind == "integer":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -50))
            high = schema.get("maximum", schema.get("exclusiveMaximum", low + 100))
            return r.randint(int(min(low, high)) - 1, int(high) + 1)
        if kind == "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -50))
            high = schema.get("maximum", schema.get("exclusiveMaximum", low + 100))
            value = r.choice([low, high, round(r.uniform(low, high), r.randint(0, 6)), int(low) + 1])
            return value
        if kind == "string":
            if schema.get("format") == "date":
                return r.choice(["2024-02-29", "1999-12-31", "0001-01-01"])
            if schema.get("format") == "time":
                return r.choice(["12:00:00Z", "23:59:59.5+01:00"])
            if schema.get("format") == "date-time":
                return "2000-02-29T00:00:00.123Z"
            if schema.get("format") == "uuid":
                return "123e4567-e89b-12d3-a456-426614174000"
            if "pattern" in schema:
                return r.choice(["ab", "abc", "xy", "12", "", "abcbc", "xaby", "x", "y", "aa"])
            text = "".join(r.choice('abz é雨😀"\\\n\t') for _ in range(r.randint(0, 8)))
            return text
        if kind == "array":
            prefix = schema.get("prefixItems", [])
            count = r.randint(schema.get("minItems", 0), schema.get("maxItems", 4)) if depth > 0 else 0
            return [
                self.document(prefix[i] if i < len(prefix) else schema.get("items", True), depth - 1)
                for i in range(count)
            ]
        result = {}
        for name, part in schema.get("properties", {}).items():
            if name in schema.get("required", []) or r.random() < 0.5 and depth > 0:
                result[name] = self.document(part, depth - 1)
        extra = schema.get("additionalProperties", "properties" not in schema or not schema["properties"])
        if extra is not False and r.random() < 0.5:
            result["other" + str(r.randint(0, 9))] = self.document(extra, depth - 1)
        return result

    def changed(self, value):
        """The value with one random change somewhere."""
        r = self.random
        if isinstance(value, list) and value and r.random() < 0.7:
            value = list(value)
            place = r.randrange(len(value))
            if r.random() < 0.3:
                del value[place]
            else:
                value[place] = self.changed(value[place])
            return value
        if isinstance(value, dict) and value and r.random() < 0.8:
            value = dict(value)
            key = r.choice(list(value))
            if r.random() < 0.3:
                del value[key]
            else:
                value[key] = self.changed(value[key])
            return value
        if isinstance(value, dict):
            return value | {"extra": 1}
        if isinstance(value, str):
            return r.choice([value + "x", value[:-1], value[::-1], 5, None])
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return r.choice([value + 1, value - 1, value + 0.5, -value, value * 10, str(value)])
        return r.choice([0, "", None, True, [], {}])


TREE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["value", "next"],
    "additionalProperties": False,
}
HAND = [
    TREE,
    {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
    {"oneOf": [
        {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}},
         "required": ["kind", "x"], "additionalProperties": False},
        {"type": "object", "properties": {"kind": {"const": "b"}, "y": {"type": "string"}},
         "required": ["kind", "y"], "additionalProperties": False},
    ]},
    {"type": "number", "minimum": -1.25, "maximum": 3.5},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "minimum": 0.001, "maximum": 0.0015},
    {"type": "integer", "minimum": -1999, "maximum": 20345},
    {"type": "integer", "multipleOf": 7, "minimum": -100, "maximum": 1000},
    {"type": "string", "minLength": 3, "maxLength": 3},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"type": "object"},
    {},
]


def accepted(validator, value):
    return validator.is_valid(value)


def schemas():
    cases = []
    for seed in range(150):
        maker = Schemas(seed)
        schema = HAND[seed] if seed < len(HAND) else maker.schema(3)
        maker.root = schema
        validator = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        canonical, others = [], []
        for _ in range(25):
            value = maker.document(schema)
            text = json.dumps(value, ensure_ascii=False)
            if maker.random.random() < 0.3:
                text = json.dumps(value, ensure_ascii=False, indent=maker.random.choice([0, 2, 4]))
            elif maker.random.random() < 0.3:
                text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            if accepted(validator, value):
                # The constraint writes neither exponents nor minus zero where numbers are bounded.
                if not re.search(r"-0(\.0+)?(?![.\d])", text) and "e" not in re.sub(r'"(\\.|[^"])*"', "", text).replace("true", "").replace("false", ""):
                    canonical.append(text)
            else:
                others.append([text, False])
            for _ in range(2):
                changed = maker.changed(value)
                verdict = accepted(validator, changed)
                others.append([json.dumps(changed, ensure_ascii=False), verdict])
        unique = sorted({text: verdict for text, verdict in others}.items())
        cases.append({"schema": schema, "canonical": sorted(set(canonical))[:8], "others": unique[:16]})
    return cases


def expression(r, depth):
    pick = r.random()
    if depth == 0 or pick < 0.3:
        return r.choice(["a", "b", "c", "ab", ".", "[ab]", "[^a]", "\\d", "\\w", "\\s", "é", "[a-c]",
                         "\\.", "\\x61", "[\\d_]", "雨", "\\u00e9", "[^\\s]"])
    if pick < 0.55:
        return expression(r, depth - 1) + expression(r, depth - 1)
    if pick < 0.7:
        return "(?:" + expression(r, depth - 1) + "|" + expression(r, depth - 1) + ")"
    quantifier = r.choice(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?", "??"])
    return "(" + expression(r, depth - 1) + ")" + quantifier


def regexes():
    r = random.Random(7)
    cases = []
    while len(cases) < 250:
        pattern = expression(r, 4)
        if len(pattern) > 60:
            continue
        if r.random() < 0.1:
            pattern = "^" + pattern + "$"
        compiled = re.compile(pattern, re.ASCII)
        yes, no = set(), set()
        for _ in range(150):
            text = "".join(r.choice("aabbc1_ .é雨\n") for _ in range(r.randint(0, 7)))
            (yes if compiled.fullmatch(text) else no).add(text)
        cases.append({"pattern": pattern, "yes": sorted(yes)[:10], "no": sorted(no)[:10]})
    return cases


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, cases in [("schemas", schemas()), ("regexes", regexes())]:
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        path = FOLDER / f"{name}.json"
        path.write_text("[\n" + lines + "\n]\n", encoding="utf-8")
        print(path.name, len(cases), path.stat().st_size)


if __name__ == "__main__":
    main()
