"""A trained network as an ASE calculator: dynamics, vibrations, relaxation and whatever else ASE offers.

    from ase.build import molecule
    from cormorant_np.calculator import Cormorant

    atoms = molecule("CH3CH2OH")
    atoms.calc = Cormorant("ethanol")
    atoms.get_potential_energy(), atoms.get_forces()        # eV, eV/Å
"""

import numpy as np

from cormorant_np import data
from cormorant_np.backend import to_host
from cormorant_np.data.units import energy_factor
from cormorant_np.errors import UserError
from cormorant_np.model import arrange_forward, energy_and_forces
from cormorant_np.training.parallel import in_worker
from cormorant_np.training.prediction import check_elements, load_network, total_energies

try:
    from ase.calculators.calculator import Calculator, all_changes
except ImportError as error:
    raise ImportError(f"The calculator needs ASE ({error}): pip install ase.") from None


class Cormorant(Calculator):
    """Energies in eV and forces in eV/Å of one molecule, by the best model of a run.

    Memory that is freed is kept for the next arrays, in all of the program, see `parallel.keep_freed_memory`.

    Parameters
    ----------
    run_dir : path of a run of `cormorant_np.train`, or the name of a model that comes with the package
    device : "cpu", "gpu" or "auto"
    atoms, label, directory : as in ASE's `Calculator`

    Raises
    ------
    UserError
        If there is no such run, its target is no energy of a molecule, or, in a calculation, the molecule has an
        element that the run has not seen, is periodic, or the result is not finite.
    """

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012, a list as in all of ASE's calculators

    def __init__(self, run_dir, device="cpu", *, atoms=None, label=None, directory="."):
        super().__init__(atoms=atoms, label=label, directory=directory)
        self.network = load_network(run_dir, device)
        if not self.network.is_potential_energy:
            raise UserError(f"The run in {run_dir} predicts {self.network.target}, which is no energy with forces.")
        self._weights = arrange_forward(self.network.params, self.network.config)
        self._to_ev = energy_factor(self.network.unit, "eV")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {}  # if there is an error now, those of another molecule must not stay
        network, charges = self.network, self.atoms.numbers
        if not len(charges):
            raise UserError("There are no atoms: give a molecule.")
        check_elements([(charges, self.atoms.positions)], network.config)
        if self.atoms.pbc.any():
            raise UserError("The network knows molecules, not crystals: set atoms.pbc = False.")
        host = data.make_batch(charges[None], self.atoms.positions[None], network.config, network.dtype)
        batch = data.batch.to_device(host, network.device)
        with in_worker():
            energy, forces = energy_and_forces(network.params, batch, network.config, self._weights)
        forces = to_host(forces)[0].astype(np.float64) * network.scale * self._to_ev
        energy = total_energies(network, to_host(energy), charges[None])[0] * self._to_ev
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise UserError("The network's energy is not finite: the molecule is far from all that it has seen.")
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
