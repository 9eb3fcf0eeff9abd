"""The molecule of the front page, to be turned: python docs/moving.py

Writes static/moving/molecule.html. A frame of ethanol that the shipped model was not trained on is turned about the
vertical axis in steps of 5°, and in each of the 72 orientations the network is asked again, in 64-bit floats, for its
energy, its forces and its activations. Nothing is turned afterwards but what the page draws between two steps.
"""

from pathlib import Path

import numpy as np

from cormorant_np import data, model, moving
from cormorant_np.drawing import arrows
from cormorant_np.so3_vector import block
from cormorant_np.training.prediction import find_run, load_network

TURNS = 72
PAGE = Path(__file__).parent / "static" / "moving" / "molecule.html"
CAPTION = """Ethanol, and the forces that the network predicts. Drag to turn it. At each of 72 orientations, 5° apart,
the network was asked again for the turned molecule, and those are its numbers and arrows; your browser draws, and fills
in between two orientations."""
LABEL = """An ethanol molecule of nine atoms, with an arrow at each atom. When the molecule is turned, the arrows turn
with it and keep their lengths."""


def ask(network, charges, positions):
    """Energies (B,) in kcal/mol, forces (B, N, 3) in kcal/mol/Å and activations by layer, of a molecule in B poses."""
    params = {name: p.astype(complex if p.dtype.kind == "c" else float) for name, p in network.params.items()}
    batch = data.make_batch(np.repeat(charges[None], len(positions), axis=0), positions, network.config, np.float64)
    energies, forces = model.energy_and_forces(params, batch, network.config)
    activations = model.features(params, batch, network.config)
    return network.mean + network.scale * energies, network.scale * forces, activations


def panel(network, charges, positions, title=""):
    """The network's arrows and numbers at every turn of a molecule."""
    rotations = moving.rotations(TURNS)
    energies, forces, activations = ask(network, charges, positions @ rotations.transpose(0, 2, 1))
    errors = abs(forces - forces[0] @ rotations.transpose(0, 2, 1)).max(axis=(1, 2))
    return moving.Panel(
        title,
        {
            "forces": forces,
            "ℓ = 1 of layer 1, channel 1": arrows(activations[0][block(1), 0]),
            "ℓ = 1 of layer 3, channel 1": arrows(activations[2][block(1), 0]),
        },
        {
            "energy E(Rr)": [f"{energy:.6f} kcal/mol".replace("-", "−") for energy in energies],
            "|E(Rr) − E(r)|": [f"{change:.0g} kcal/mol" for change in abs(energies - energies[0])],
            "largest |F(Rr) − R F(r)|": [f"{error:.0g} kcal/mol/Å" for error in errors],
        },
    )


def front_page():
    """The page, as HTML."""
    frame = np.load(find_run("ethanol") / "splits.npz")["test"][0]
    sample = data.load("sample")
    charges, positions = sample.charges[frame], moving.upright(sample.positions[frame])
    shown = panel(load_network("ethanol"), charges, positions)
    figure = moving.molecule(charges, positions, [shown], CAPTION, LABEL, spin=True)
    return moving.page(figure, "Ethanol, to be turned", "python docs/moving.py")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(front_page(), encoding="utf-8")
    print(f"{PAGE}: {PAGE.stat().st_size / 1000:.0f} kB")
