"""Make a small data set of one's own: molecular dynamics with GFN2-xTB, in MD17's file format.

    python -m cormorant_np.data.make_sample --molecule ethanol --frames 5000 --out sample_ethanol.npz

Needs the optional packages ASE (the dynamics) and tblite (the semi-empirical energies and forces).
"""

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from cormorant_np.arguments import Parser, path, positive_number, whole_number
from cormorant_np.errors import UserError, run_command
from cormorant_np.files import check_new, written_whole

TIMESTEP_FS = 0.5
FRICTION_PER_FS = 0.01
XTB_ACCURACY = 0.01  # tblite's multiplier of its convergence thresholds; 1 is its default
FORMULAS = {
    "ethanol": "CH3CH2OH",
    "methanol": "CH3OH",
    "benzene": "C6H6",
    "acetaldehyde": "CH3CHO",
    "acetic acid": "CH3COOH",
}


def starting_geometry(molecule):
    """The geometry to start from, as `ase.Atoms`.

    Parameters
    ----------
    molecule : str
        A key of `FORMULAS`, a name in ASE's G2 collection (such as "CH3CH2OH"), or the path of an .xyz file.

    Raises
    ------
    UserError
        If ASE is not installed, the name is unknown, or the file cannot be read.
    """
    _require_packages()
    import ase.build
    import ase.io
    from ase.collections import g2

    name = FORMULAS.get(molecule, molecule)
    if name in g2.names:
        return ase.build.molecule(name)
    if not name.endswith(".xyz"):
        known = ", ".join([*FORMULAS, "CH3OCH3", "C4H4O"])
        raise UserError(f"There is no geometry for '{molecule}': name an .xyz file, or a molecule such as {known}.")
    try:
        return ase.io.read(name, format="xyz")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"The geometry {name} cannot be read as an .xyz file: {error}.") from error


def run_dynamics(atoms, num_frames, temperature, interval_fs, equilibration_ps, seed):
    """Langevin dynamics with GFN2-xTB; frames are kept every `interval_fs` after the equilibration.

    The positions are rounded to float32 before the energy and the forces of a frame are computed, so that these
    labels belong to exactly the positions that the file stores. The centre of mass is held still.

    Parameters
    ----------
    atoms : ase.Atoms
        N atoms; moved in place.
    num_frames : int
    temperature : float, in K
    interval_fs, equilibration_ps : float
    seed : int

    Returns
    -------
    dict
        "R" (n, N, 3) float32 in Å, "E" (n, 1) float64 in kcal/mol, "F" (n, N, 3) float32 in kcal/mol/Å,
        "z" (N,) uint8, and "T" (n,) float64, the kinetic temperature in K.
    """
    _require_packages()
    from ase import units
    from ase.constraints import FixCom
    from ase.md.langevin import Langevin
    from tblite.ase import TBLite

    kcal_per_mol = units.kcal / units.mol
    atoms.calc = TBLite(method="GFN2-xTB", accuracy=XTB_ACCURACY, verbosity=0)
    atoms.positions -= atoms.get_center_of_mass()
    atoms.set_constraint(FixCom())
    dynamics = Langevin(
        atoms,
        TIMESTEP_FS * units.fs,
        temperature_K=temperature,
        friction=FRICTION_PER_FS / units.fs,
        fixcm=False,
        rng=np.random.default_rng(seed),
    )
    dynamics.run(round(1000 * equilibration_ps / TIMESTEP_FS))

    frames = {"R": [], "E": [], "F": [], "T": []}
    for _ in tqdm(range(num_frames), unit="frame"):
        dynamics.run(round(interval_fs / TIMESTEP_FS))
        atoms.positions = atoms.positions.astype(np.float32)
        frames["R"].append(atoms.get_positions().astype(np.float32))
        frames["E"].append([atoms.get_potential_energy() / kcal_per_mol])
        frames["F"].append((atoms.get_forces(apply_constraint=False) / kcal_per_mol).astype(np.float32))
        frames["T"].append(atoms.get_temperature())
    return {key: np.array(values) for key, values in frames.items()} | {"z": atoms.numbers.astype(np.uint8)}


def main(argv=None):
    parser = Parser(prog="python -m cormorant_np.data.make_sample", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--molecule", type=path, default="ethanol", help="a name, a name in ASE's G2 collection or an .xyz file")
    add("--frames", type=whole_number(1), default=5000, help="default 5000")
    add("--temperature", type=positive_number, default=500, help="in K; default 500")
    add("--interval-fs", type=positive_number, default=50, help="time from frame to frame; default 50")
    add("--equilibration-ps", type=positive_number, default=10, help="time before the first frame; default 10")
    add("--seed", type=whole_number(0), default=0, help="of the velocities and the thermostat; default 0")
    add("--out", type=path, help="default: sample_MOLECULE.npz")
    args = parser.parse_args(argv)
    if args.interval_fs % TIMESTEP_FS:
        raise UserError(f"--interval-fs {args.interval_fs:g} is no multiple of the time step, {TIMESTEP_FS} fs.")
    name = Path(args.molecule).stem
    out = Path(args.out or f"sample_{name.replace(' ', '_')}.npz")
    if out.suffix != ".npz":
        raise UserError(f"--out {out} must end in .npz.")
    check_new(out)
    atoms = starting_geometry(args.molecule)
    with threadpool_limits(1):  # molecules are too small for tblite's threads, which wait for each other
        frames = run_dynamics(atoms, args.frames, args.temperature, args.interval_fs, args.equilibration_ps, args.seed)
    temperatures = frames.pop("T")
    theory = f"GFN2-xTB (tblite), Langevin dynamics at {args.temperature:g} K"
    with written_whole(out) as part, open(part, "wb") as file:
        np.savez_compressed(file, **frames, name=name, theory=theory, type="d", r_unit="Ang", e_unit="kcal/mol")
    print(
        f"{out}: {args.frames} frames, mean kinetic temperature {temperatures.mean():.1f} K, "
        f"standard deviation of the energy {frames['E'].std():.3f} kcal/mol"
    )


def _require_packages():
    try:
        import ase  # noqa: F401
        import tblite.ase  # noqa: F401
    except ImportError as error:
        raise UserError(f"A sample needs ase and tblite ({error}): pip install ase tblite.") from error


if __name__ == "__main__":
    run_command(main)
