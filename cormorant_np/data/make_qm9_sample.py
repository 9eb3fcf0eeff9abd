"""Make the sample of QM9 that comes with the package: molecules chosen at random, with all twelve properties.

    python -m cormorant_np.data.make_qm9_sample --molecules 1000 --out sample_qm9.npz
"""

from pathlib import Path

import numpy as np

from cormorant_np.data.downloads import data_directory
from cormorant_np.data.qm9 import Table, read_table
from cormorant_np.errors import Parser, UserError, run_command
from cormorant_np.files import written_whole


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
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", help="where QM9 is, or goes")
    parser.add_argument("--out", type=Path, default=Path("sample_qm9.npz"))
    args = parser.parse_args(argv)
    if not args.out.parent.is_dir():
        raise UserError(f"The folder {args.out.parent} of --out does not exist: make it first.")

    table = read_table(data_directory(args.data_dir))
    if not 1 <= args.molecules <= len(table.index):
        raise UserError(f"--molecules must be from 1 to {len(table.index)}, the number of molecules in QM9.")
    rng = np.random.default_rng(args.seed)
    rows = np.sort(rng.choice(len(table.index), args.molecules, replace=False))
    with written_whole(args.out) as part, open(part, "wb") as file:
        np.savez_compressed(file, **choose(table, rows)._asdict())
    print(f"{args.out}: {args.molecules} molecules, {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    run_command(main)
