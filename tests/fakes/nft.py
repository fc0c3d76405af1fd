"""An nft in memory: takes the commands that the driver writes, and lists the table as `nft -j` does."""

import copy
import re
from collections.abc import Iterator

from hubgw.drivers.nftables.client import RefusedError

OPENS = re.compile(r"\t(chain|set|map) (\w+) \{")
RULE = re.compile(r'\t\t.* comment "([^"]+)"')
ELEMENT = re.compile(r"(add|destroy) element inet hubgw (\w+) \{(?: (.*) \})?")
COUNTED = re.compile(r'"(\w+)" counter packets (\d+) bytes (\d+)')


class FakeNft:
    """Stands in for `client.Client`. `runs` remembers what was run; `fail_next` refuses elements by their text."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.fail_next: set[str] = set()
        self.comment: str | None = None
        self.chains: dict[str, list[str]] = {}
        self.sets: dict[str, dict[str, str]] = {}
        self.maps: set[str] = set()
        self.counters: dict[str, tuple[int, int]] = {}

    def run(self, text: str) -> str:
        self.runs.append(text)
        before = copy.deepcopy((self.comment, self.chains, self.sets, self.maps, self.counters))
        refused = list(self._execute(text))
        if refused:
            self.comment, self.chains, self.sets, self.maps, self.counters = before
            raise RefusedError(refused)
        return ""

    def list_table(self, family: str, name: str) -> list[dict[str, object]]:
        if self.comment is None:
            return []
        listed: list[dict[str, object]] = [{"metainfo": {}}, {"table": {"name": name, "comment": self.comment}}]
        for chain, comments in self.chains.items():
            listed.append({"chain": {"name": chain}})
            listed += [{"rule": {"chain": chain, "comment": comment}} for comment in comments]
        for set_, items in self.sets.items():
            is_map = set_ in self.maps
            elements = [[_json(item), int(value)] if is_map else _json(item) for item, value in items.items()]
            if set_ == "spoofed":
                elements = [
                    {"elem": {"val": key, "counter": {"packets": packets, "bytes": size}}}
                    for key, (packets, size) in self.counters.items()
                ]
            listed.append({"map" if is_map else "set": {"name": set_, "elem": elements}})
        return listed

    def _execute(self, text: str) -> Iterator[tuple[int, str]]:
        chain = block = ""
        verb = set_ = ""
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("destroy table"):
                self.comment, self.chains, self.sets, self.maps, self.counters = None, {}, {}, set(), {}
            elif opens := OPENS.match(line):
                block, chain = opens.groups()
                if block == "chain":
                    self.chains[chain] = []
                else:
                    self.sets[chain] = {}
                    self.maps |= {chain} if block == "map" else set()
            elif line.startswith('\tcomment "'):
                self.comment = line.split('"')[1]
            elif rule := RULE.fullmatch(line):
                self.chains[chain].append(rule[1])
            elif opened := ELEMENT.fullmatch(line):
                verb, set_, inline = opened.groups()
                if set_ not in self.sets:
                    yield number, "No such file or directory"
                elif inline:
                    self._counters(verb, inline)
            elif line[:1] in {'"', *"0123456789"}:
                yield from self._element(verb, set_, line.removesuffix(" }").removesuffix(","), number)

    def _counters(self, verb: str, inline: str) -> None:
        if verb == "add":
            self.counters |= {name: (int(packets), int(size)) for name, packets, size in COUNTED.findall(inline)}
        for name in inline.replace('"', "").split(", ") if verb == "destroy" else ():
            self.counters.pop(name, None)

    def _element(self, verb: str, set_: str, line: str, number: int) -> Iterator[tuple[int, str]]:
        item, _, value = line.partition(" : ")
        if line in self.fail_next:
            self.fail_next.discard(line)
            yield number, "Could not process rule: Out of memory"
        elif verb == "destroy":
            self.sets.get(set_, {}).pop(item, None)
        elif self.sets.get(set_, {}).setdefault(item, value) != value:
            yield number, "Could not process rule: File exists"


def _json(item: str) -> object:
    atoms: list[object] = []
    for atom in item.replace('"', "").split(" . "):
        address, _, length = atom.partition("/")
        atoms.append({"prefix": {"addr": address, "len": int(length)}} if length else atom)
    return {"concat": atoms} if len(atoms) > 1 else atoms[0]
