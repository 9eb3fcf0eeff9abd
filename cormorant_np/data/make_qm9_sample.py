"""Make the sample of QM9 that comes with the package: molecules chosen at random, with all twelve properties.

    python -m cormorant_np.data.make_qm9_sample --molecules 1000 --out sample_qm9.npz
"""

from pathlib import Path

import numpy as np

from cormorant_np.arguments import Parser, path, whole_number
from cormorant_np.data.downloads import data_directory
from cormorant_np.data.qm9 import Table, read_table
from cormorant_np.errors import UserError, run_command
from cormorant_np.files import check_new, written_whole


def choose(table, rows):
    """The molecules of a `Table` in these rows, which must be ascending, with positions in float32."""
    atoms = np.isin(np.repeat(np.arange(len(table.index)), table.num_atoms), rows)
    return Table(
        index=table.index[rows],
        num_atoms=table.num_atoms[rows],
        charges=table.charges[atoms],
        positions=table.positions[atoms].astype(np.float32),
        properties=table.properties[rows],
    )


def main(argv=None):
    parser = Parser(prog="python -m cormorant_np.data.make_qm9_sample", description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", type=whole_number(1), default=1000, help="default 1000")
    parser.add_argument("--seed", type=whole_number(0), default=0, help="of the choice; default 0")
    parser.add_argument("--data-dir", type=path, help="where QM9 is, or goes")
    parser.add_argument("--out", type=path, default="sample_qm9.npz", help="default sample_qm9.npz")
    args = parser.parse_args(argv)
    check_new(args.out)
    table = read_table(data_directory(args.data_dir))
    if args.molecules > len(table.index):
        raise UserError(f"--molecules must be from 1 to {len(table.index)}, the number of molecules in QM9.")
    rng = np.random.default_rng(args.seed)
    rows = np.sort(rng.choice(len(table.index), args.molecules, replace=False))
    out = Path(args.out)
    with written_whole(out) as part, open(part, "wb") as file:
        np.savez_compressed(file, **choose(table, rows)._asdict())
    print(f"{out}: {args.molecules} molecules, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    run_command(main)
