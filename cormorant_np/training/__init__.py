"""What a run is: its settings and data, the loop, losses, the optimiser, parallel work, files and plots."""
