"""The solve going forward: steps, their sizes, outputs between them, and the time loop."""
