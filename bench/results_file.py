"""Results as JSON that can be kept in the repository: four digits of each figure, and one line for each case."""

import json

DIGITS = 4


def rounded(value):
    """Return a tree of dicts, lists and tuples with four significant digits of its floats."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _lines(value):
    if not (isinstance(value, list) and value and isinstance(value[0], dict)):
        return json.dumps(value)
    return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"


def write(path, results):
    """Write a dict of results, rounded, to a file; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    members = ",\n".join(f" {json.dumps(key)}: {_lines(value)}" for key, value in rounded(results).items())
    path.write_text("{\n" + members + "\n}\n")
