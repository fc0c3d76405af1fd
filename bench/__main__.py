"""`python -m bench`: measures, prints the table, writes build/bench.json. Its exit code is 0 whatever the figures."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bench import pure, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--sites", type=int, default=1000, help="sites of the hub, two tunnels each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often; the medians are shown (%(default)s)")
    parser.add_argument("--only", default="abcdg", help="rows to measure, of abcdefg (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build"), help="where bench.json goes (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep what bench.json has of other rows")
    parser.add_argument("--profile", action="store_true", help="profile rows a, b, e and f whatever they take")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    where = table.machine()
    print(where, file=sys.stderr)
    rows = pure.rows(args.sites, args.rounds) if "c" in args.only else []
    if set("abdg") & set(args.only):
        if _has_the_kernel():
            # Imported here: row c runs where there is no lab.
            from bench import kernel, logins  # noqa: PLC0415
            from tests.lab.place import alone  # noqa: PLC0415

            with alone():
                if set("abd") & set(args.only):
                    rows += kernel.rows(args.sites, args.rounds, args.out.resolve(), args.only, profile=args.profile)
                if "g" in args.only:
                    rows += logins.rows(args.rounds)
        else:
            print("rows a, b, d and g need the lab's kernel, as root: make bench", file=sys.stderr)
    if set("ef") & set(args.only):
        rows += _bgp_rows(args.rounds, args.out, args.only, profile=args.profile)
    rows.sort(key=lambda row: row.row)
    print(f"{where}\n\n{table.render(rows)}")
    file = args.out / "bench.json"
    kept = file.read_text() if args.keep and file.exists() else "[]"
    file.write_text(table.to_json(rows, where, kept))
    return 0


def _bgp_rows(rounds: int, out: Path, only: str, *, profile: bool) -> list[table.Row]:
    # Imported here: the other rows do without what these need.
    from bench import bgp, namespaces, routers  # noqa: PLC0415

    if lacking := namespaces.lacking():
        print(f"rows e and f are left out: {lacking}", file=sys.stderr)
        return []
    program = routers.bird_program()
    if program is None:
        print("rows e and f have no anchor: no BIRD here or in a tree of the lab; make vm builds one", file=sys.stderr)
    return bgp.rows(rounds, program, out, only, profile=profile)


def _has_the_kernel() -> bool:
    """Tells whether this is a lab VM: nothing here ever touches a machine's own network."""
    if os.geteuid() != 0 or not all(Path("/sys/module", name).exists() for name in ("xfrm_interface", "vrf")):
        return False
    return subprocess.run(["modprobe", "nlmon"], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
