"""Molecular dynamics with a trained network: python -m cormorant_np.dynamics molecule.xyz --run-dir DIR.

Velocities are drawn at a temperature; then the energy is constant (velocity Verlet), or with --thermostat the
temperature (Langevin). It writes a trajectory that ASE reads and a picture of the energies. Needs ASE.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cormorant_np.arguments import RUN_DIR, Parser, path, positive_number, whole_number
from cormorant_np.backend import DEVICES
from cormorant_np.data import read_molecules
from cormorant_np.errors import UserError, run_command
from cormorant_np.files import check_new
from cormorant_np.training.options import seed
from cormorant_np.training.parallel import on_ranks
from cormorant_np.training.plots import plot_total_energy

FRICTION_PER_FS = 0.01
FARTHEST_BOND = 2.0
"""A molecule has fallen apart where no chain of distances below so many sums of covalent radii holds it together."""

HOTTEST = 20_000
"""K: above this kinetic temperature the energy has exploded."""


def read_molecule(path):
    """The first molecule of a file, see `data.read_frames`, as `ase.Atoms`.

    Raises
    ------
    UserError
        If ASE is not installed, the file cannot be read, or the molecule is periodic, has one atom only or isotopes.
    """
    try:
        import ase.io
    except ImportError as error:
        raise UserError(f"Dynamics needs ASE ({error}): pip install ase.") from None
    frame, *others = read_molecules(path)
    if len(frame.charges) < 2:
        raise UserError(f"{path} has one atom only, which does not move: give a molecule.")
    if frame.isotopes:
        raise UserError(f"{path} has D or T, which would move with the mass of H: write H, and a column masses:R:1.")
    if others:
        print(f"{path} has {1 + len(others)} molecules: this is the dynamics of the first one, with new velocities.")
    try:  # for masses and constraints
        atoms = ase.io.read(Path(path).absolute(), index=0, do_not_split_by_at_sign=True)
    except Exception:  # what only this package reads
        if "move_mask" in frame.columns:
            raise UserError(f"ASE cannot read {path}, so that its move_mask would be lost: write it by ASE.") from None
        masses = frame.columns.get("masses")
        return ase.Atoms(frame.charges, frame.positions, masses=None if masses is None else masses[:, 0])
    atoms.calc, atoms.pbc = None, False
    return atoms


def check_times(steps, interval):
    """The steps from frame to frame; a `UserError` if the last frame would not be that of the last step."""
    interval = min(10, steps) if interval is None else interval
    if steps % interval:
        raise UserError(f"--steps {steps} is no multiple of --interval {interval}: change one of them.")
    return interval


def new_trajectory(out):
    """The path of the trajectory, checked: it ends in .traj, and nothing is there that would be lost."""
    if out.suffix != ".traj":
        raise UserError(f"--out {out} must end in .traj, which `ase convert` turns into other formats.")
    check_new(out)
    check_new(out.with_suffix(".png"))
    return out


def set_off(atoms, temperature, rng):
    """Draw velocities at a temperature in K, kT/2 for a vibration; the molecule as a whole neither moves nor turns.

    If some atoms are held, they hold the molecule, and the others have kT/2 for each direction in which they may move.
    """
    from ase.md import velocitydistribution

    older = velocitydistribution.MaxwellBoltzmannDistribution  # than ASE 3.28
    getattr(velocitydistribution, "thermalize_momenta", older)(atoms, temperature_K=temperature, rng=rng)
    if atoms.constraints:
        return
    velocitydistribution.Stationary(atoms, preserve_temperature=False)  # or the vibrations would get its energy
    with np.errstate(divide="ignore", invalid="ignore"):  # of linear molecules, about their axis
        velocitydistribution.ZeroRotation(atoms, preserve_temperature=False)


def integrator(atoms, timestep, temperature, thermostat, rng):
    """ASE's velocity Verlet, or with a thermostat its Langevin dynamics; `timestep` in fs."""
    from ase import units
    from ase.md.langevin import Langevin
    from ase.md.verlet import VelocityVerlet

    if not thermostat:
        return VelocityVerlet(atoms, timestep * units.fs)
    friction = FRICTION_PER_FS / units.fs
    return Langevin(atoms, timestep * units.fs, temperature_K=temperature, friction=friction, fixcm=False, rng=rng)


def number_of_pieces(atoms):
    """How many parts the atoms form that no chain of bonds holds together, see `FARTHEST_BOND`."""
    from ase.data import covalent_radii
    from scipy.sparse.csgraph import connected_components

    radii = covalent_radii[atoms.numbers]
    bonds = atoms.get_all_distances() < FARTHEST_BOND * (radii[:, None] + radii)
    return connected_components(bonds)[0]


def check_molecule(atoms, step, pieces=1):
    """A `UserError` if the molecule has fallen into more pieces than it was made of, or its energy has exploded."""
    if not atoms.get_temperature() < HOTTEST:
        raise UserError(
            f"The energy exploded: after step {step} the atoms have {atoms.get_temperature():.3g} K. Use a smaller "
            "--timestep, or train on frames that are more like this molecule."
        )
    number = number_of_pieces(atoms)
    if number > pieces:
        raise UserError(
            f"The molecule fell into {number} pieces before step {step}, which the network has not learned: lower the "
            "--temperature, or train on forces and on frames that are more like this molecule."
        )


def run(atoms, dynamics, steps, interval, trajectory, pieces):
    """Yield potential and kinetic energy in eV, every `interval` steps; frames go to `trajectory`."""
    for step in tqdm(range(0, steps + 1, interval), unit="frame", disable=None):
        if step:
            dynamics.run(interval)
        check_molecule(atoms, step, pieces)
        trajectory.write(atoms)
        yield atoms.get_potential_energy(), atoms.get_kinetic_energy()


def summarise(energies, femtoseconds, atoms, out):
    """Say and draw what a trajectory is like, also one that has ended early; `energies` (n, 2) in eV."""
    from ase import units

    plot_total_energy(out.with_suffix(".png"), energies, femtoseconds)
    temperature = 2 * energies[:, 1].mean() / (atoms.get_number_of_degrees_of_freedom() * units.kB)
    spread = 1000 * energies.sum(axis=1).std()
    print(f"{len(energies)} frames in {out}, energies in {out.with_suffix('.png')}")
    print(f"mean temperature {temperature:.0f} K, standard deviation of the total energy {spread:.3g} meV")
    print(f"drift of the total energy {drift(energies, femtoseconds, len(atoms)):.3g} meV per atom and ps")


def drift(energies, femtoseconds, num_atoms):
    """The slope of the total energy, by least squares, in meV per atom and ps."""
    if len(energies) < 2:
        return 0.0
    picoseconds = 1e-3 * femtoseconds * np.arange(len(energies))
    return 1000 * np.polyfit(picoseconds, energies.sum(axis=1), 1)[0] / num_atoms


def build_parser():
    parser = Parser(
        prog="python -m cormorant_np.dynamics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("molecule", type=path, help="a file, in Å; its first molecule is used, with new velocities")
    add("--run-dir", **RUN_DIR)
    add("--steps", type=whole_number(1), default=2000, help="default 2000")
    add("--timestep", type=positive_number, default=0.5, help="in fs; default 0.5")
    add("--temperature", type=positive_number, default=300, help="in K; default 300")
    add("--thermostat", action="store_true", help="Langevin dynamics at this temperature")
    add("--interval", type=whole_number(1), help="steps from frame to frame; default 10, or --steps if these are fewer")
    add("--out", type=path, help="the trajectory; default NAME-dynamics.traj in the working directory")
    add("--seed", type=seed, default=0, help="of the velocities and the thermostat; default 0")
    add("--device", choices=DEVICES, default="cpu")
    return parser


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    interval = check_times(options.steps, options.interval)
    out = new_trajectory(Path(options.out or f"{Path(options.molecule).stem}-dynamics.traj"))
    atoms = read_molecule(options.molecule)
    from ase.io.trajectory import Trajectory

    from cormorant_np.calculator import Cormorant

    atoms.calc = Cormorant(options.run_dir, options.device)
    rng = np.random.default_rng(options.seed)
    set_off(atoms, options.temperature, rng)
    dynamics = integrator(atoms, options.timestep, options.temperature, options.thermostat, rng)
    atoms.get_potential_energy()  # what cannot be computed, or is too hot, leaves no file behind
    pieces = number_of_pieces(atoms)  # a complex has several
    check_molecule(atoms, 0, pieces)
    if pieces > 1:
        print(f"{options.molecule} has {pieces} pieces that no bond holds together: it is run as it is.")
    energies = []
    with Trajectory(out, "w", atoms) as trajectory:
        try:
            for pair in run(atoms, dynamics, options.steps, interval, trajectory, pieces):
                energies.append(pair)
        finally:
            if energies:
                summarise(np.array(energies), interval * options.timestep, atoms, out)
    return 0


if __name__ == "__main__":
    run_command(on_ranks(main))
