"""Says why a build did not get from the cache what another build had put there.

    ./bazelw build //models:resnet --execution_log_json_file=/tmp/one.json    # where it was built
    ./bazelw build //models:resnet --execution_log_json_file=/tmp/two.json    # where it was missed
    ./bazelw run //tools:why_missed -- /tmp/one.json /tmp/two.json

A cache answers an action whose command line, environment, platform and inputs are
those of the action that filled it, byte for byte. This prints, for each action of both
builds, what of these is different. Actions that differ only because others before them
did are counted, not listed: they follow.

Both logs must have the action in them: an action that Bazel had no need to look at,
since its outputs were up to date, is not; `bazel clean` before the build makes sure.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import itertools
import json
import sys
from collections.abc import Iterator

Spawn = dict  # of Bazel's protobuf message SpawnExec, as JSON


def read(path: str) -> list[Spawn]:
    """Reads a file that --execution_log_json_file wrote."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    decoder = json.JSONDecoder()
    spawns = []
    at = 0
    # One value after another, without a separator.
    while at < len(text):
        if text[at].isspace():
            at += 1
        else:
            spawn, at = decoder.raw_decode(text, at)
            spawns.append(spawn)
    return spawns


@dataclasses.dataclass(frozen=True)
class Difference:
    """An action that is another in the second build.

    Attributes:
        action: Its mnemonic, label and first output.
        reasons: What differs, a line each, without the outputs of other actions
            that differ.
    """

    action: str
    reasons: list[str]


def compare(one: list[Spawn], two: list[Spawn]) -> list[Difference]:
    """Finds the actions of both builds that a cache takes for different ones."""
    others = {_key(spawn): spawn for spawn in two}
    pairs = [(spawn, others[_key(spawn)]) for spawn in one if _key(spawn) in others]
    made = {path for spawn in one + two for path in spawn.get("listedOutputs", ())}
    differences = []
    for first, second in pairs:
        changed = [*_changed_inputs(first, second)]
        reasons = [
            *_arguments(first, second),
            *_values("variable", _variables(first), _variables(second)),
            *_values("platform", _platform(first), _platform(second)),
            *(f"input {path} {how}" for path, how in changed if path not in made),
        ]
        if reasons or changed:
            differences.append(Difference(_describe(first), reasons))
    return differences


def _key(spawn: Spawn) -> tuple[str, ...]:
    return (spawn["mnemonic"], *sorted(spawn.get("listedOutputs", ())))


def _describe(spawn: Spawn) -> str:
    outputs = spawn.get("listedOutputs") or ["no output"]
    return f"{spawn['mnemonic']} {spawn.get('targetLabel', '')} {outputs[0]}"


def _arguments(first: Spawn, second: Spawn) -> Iterator[str]:
    one, two = (spawn.get("commandArgs", []) for spawn in (first, second))
    matcher = difflib.SequenceMatcher(None, one, two, autojunk=False)
    for _, i, i_end, j, j_end in matcher.get_opcodes():
        before, after = one[i:i_end], two[j:j_end]
        if before != after:
            # One for another, as far as there are as many; the rest came or went.
            for pair in itertools.zip_longest(before, after):
                yield f"argument {_show(pair[0])}, then {_show(pair[1])}"


def _variables(spawn: Spawn) -> dict[str, str]:
    return {
        variable["name"]: variable.get("value", "")
        for variable in spawn.get("environmentVariables", ())
    }


def _platform(spawn: Spawn) -> dict[str, str]:
    properties = spawn.get("platform", {}).get("properties", ())
    return {each["name"]: each.get("value", "") for each in properties}


def _values(kind: str, one: dict[str, str], two: dict[str, str]) -> Iterator[str]:
    for name in dict.fromkeys([*one, *two]):
        first, second = one.get(name), two.get(name)
        if first != second:
            yield f"{kind} {name}: {_show(first)}, then {_show(second)}"


def _show(value: str | None) -> str:
    return "none" if value is None else repr(value)


def _changed_inputs(one: Spawn, two: Spawn) -> Iterator[tuple[str, str]]:
    first, second = (
        {i["path"]: i for i in spawn.get("inputs", ())} for spawn in (one, two)
    )
    for path in dict.fromkeys([*first, *second]):
        if path not in second:
            yield path, "is only in the first"
        elif path not in first:
            yield path, "is only in the second"
        elif first[path].get("digest") != second[path].get("digest"):
            yield path, "has other content"


def main(argv: list[str] | None = None) -> int:
    """Prints the differences; returns 1 if there are any."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("one", help="execution log of the build that filled the cache")
    parser.add_argument("two", help="execution log of the build that missed")
    args = parser.parse_args(argv)
    one, two = read(args.one), read(args.two)
    differences = compare(one, two)
    causes = [each for each in differences if each.reasons]
    for difference in causes:
        print(difference.action)
        for reason in difference.reasons:
            print(f"  {reason}")
    both = len({_key(spawn) for spawn in one} & {_key(spawn) for spawn in two})
    print(
        f"{both} actions are in both logs: {len(causes)} differ by themselves, "
        f"{len(differences) - len(causes)} follow from them"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
